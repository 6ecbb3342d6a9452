"""Made for one wearer: a head fitted to a person's own windows, kept beside the bundle and applied to one stream.

The network on the device does not change, so nothing is compiled again.
"""

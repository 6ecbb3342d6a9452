"""fsq-edge: train, check, calibrate, bundle and stream Conv2d-FSQ motion models on Hailo accelerators.

Importing this package loads nothing heavy; torch comes in with ``fsq_edge.model`` and ``fsq_edge.training``.
"""

__version__ = "0.1.0"

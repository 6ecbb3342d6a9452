"""The int8 preview: what quantisation is expected to change, layer by layer."""

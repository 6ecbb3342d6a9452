"""The deployment bundle: reading verifies it; building, signing and installing write it whole or not at all."""

from fsq_edge_runtime.bundle.bundle import Bundle

__all__ = ["Bundle"]

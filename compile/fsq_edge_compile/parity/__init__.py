"""The parity ladder: torch, ONNX, simplified, split, int8 and HEF, and where they part."""

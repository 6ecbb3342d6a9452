"""A network that was trained elsewhere: from its ONNX file and plain windows to a bundle."""

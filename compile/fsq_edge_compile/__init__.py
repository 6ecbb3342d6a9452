"""ONNX in, verified deployment bundle out."""

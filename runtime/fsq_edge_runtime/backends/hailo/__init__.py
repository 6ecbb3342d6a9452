"""The Hailo backend: InferModel of the vendor's binding, kept on a thread of its own."""

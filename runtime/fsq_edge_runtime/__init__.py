"""What runs on the device: preprocessing, backends, streaming, decisions."""

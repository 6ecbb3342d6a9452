"""Windows that were cut before: X_*.npy, y_*.npy and metadata.json."""

"""Recordings, windows and where they come from."""

from fsq_edge.data.folder import read_folder, write_folder
from fsq_edge.data.recording import UNLABELLED, Channel, Dataset, Recording
from fsq_edge.data.sources import open_dataset, require_finite
from fsq_edge.data.windows import WindowIndex, cut_windows

__all__ = [
    "UNLABELLED",
    "Channel",
    "Dataset",
    "Recording",
    "WindowIndex",
    "cut_windows",
    "open_dataset",
    "read_folder",
    "require_finite",
    "write_folder",
]

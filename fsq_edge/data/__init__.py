"""Recordings, windows, honest splits, and where the data come from."""

from fsq_edge.data.folder import read_folder, write_folder
from fsq_edge.data.recording import UNLABELLED, Channel, Dataset, Recording
from fsq_edge.data.sources import open_dataset, require_finite
from fsq_edge.data.splitting.folds import folds_by_recording, folds_by_subject, folds_temporal
from fsq_edge.data.splitting.leaks import LeakReport, check_leaks, refuse_leaks
from fsq_edge.data.splitting.splits import (
    Split,
    split_as_declared,
    split_by_recording,
    split_by_subject,
    split_temporal,
)
from fsq_edge.data.splitting.window_split import WindowSplit, split_windows_at_random
from fsq_edge.data.windows import WindowIndex, cut_windows

__all__ = [
    "UNLABELLED",
    "Channel",
    "Dataset",
    "LeakReport",
    "Recording",
    "Split",
    "WindowIndex",
    "WindowSplit",
    "check_leaks",
    "cut_windows",
    "folds_by_recording",
    "folds_by_subject",
    "folds_temporal",
    "open_dataset",
    "read_folder",
    "refuse_leaks",
    "require_finite",
    "split_as_declared",
    "split_by_recording",
    "split_by_subject",
    "split_temporal",
    "split_windows_at_random",
    "write_folder",
]

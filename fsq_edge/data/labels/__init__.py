"""Labels from annotation tools: read as intervals, put on the clock of the recordings, written into the folder."""

from fsq_edge.data.labels.formats import FORMATS, read_label_file
from fsq_edge.data.labels.interval import LabelFile, LabelSpan
from fsq_edge.data.labels.labelling import LabelSettings, label_folder

__all__ = ["FORMATS", "LabelFile", "LabelSettings", "LabelSpan", "label_folder", "read_label_file"]

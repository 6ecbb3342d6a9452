"""Archives of recordings scored in batches: one file in, one file of decisions out, with the decisions of ``run``."""

from fsq_edge.scoring.archive import ArchiveFile, find_recordings
from fsq_edge.scoring.collation import collate
from fsq_edge.scoring.entry import Entry, ScoreHeader
from fsq_edge.scoring.runs import ScoreResult, score_archive
from fsq_edge.scoring.settings import ScoreSettings

__all__ = [
    "ArchiveFile",
    "Entry",
    "ScoreHeader",
    "ScoreResult",
    "ScoreSettings",
    "collate",
    "find_recordings",
    "score_archive",
]

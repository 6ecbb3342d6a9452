"""An archive through the workers: what is done is kept, what fails is written down, nothing stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fsq_edge.scoring.archive import ArchiveFile, Shard
from fsq_edge.scoring.entry import Entry
from fsq_edge.scoring.folder import open_folder, write_entry
from fsq_edge.scoring.scorer import Outcome, failed
from fsq_edge.scoring.settings import ScoreSettings
from fsq_edge.scoring.workers import LostRecording, score_here, score_in_workers
from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import EXIT_UNAVAILABLE

Engine = Callable[[Sequence[ArchiveFile], bytes, ScoreSettings, Path], Iterator[Outcome | LostRecording]]


@dataclass(slots=True)
class ScoreResult:
    """What a run did.

    Attributes:
        recordings: that belong to the shard.
        scored: now.
        kept: scored before, of the same content.
        failed: name -> why, of those without decisions.
        seconds: recorded time of ``scored``.
        windows: decisions of ``scored``.
    """

    recordings: int
    scored: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    windows: int = 0

    def add(self, entry: Entry, kept: bool) -> None:
        """Count one recording."""
        if entry.error is not None:
            self.failed[entry.file] = entry.error.message
        elif kept:
            self.kept += 1
        else:
            self.scored += 1
            self.seconds += entry.seconds
            self.windows += entry.decided + entry.abstained + entry.missed


def local_engine(workers: int) -> Engine:
    """Return what scores with this many processes on this machine; one is this process itself."""

    def engine(
        files: Sequence[ArchiveFile], bundle: bytes, settings: ScoreSettings, root: Path
    ) -> Iterator[Outcome | LostRecording]:
        if workers == 1:
            return score_here(files, bundle, settings, root)
        return score_in_workers(files, bundle, settings, root, workers)

    return engine


def score_archive(
    bundle: Bundle,
    files: Sequence[ArchiveFile],
    root: Path,
    settings: ScoreSettings | None = None,
    *,
    engine: Engine | None = None,
    shard: Shard | None = None,
    progress: Callable[[Entry, bool], None] = lambda entry, kept: None,
) -> ScoreResult:
    """Score the recordings of an archive into a folder.

    What was scored before, of the same content, with the same bundle and settings, is kept; the rest is written whole,
    a recording at a time, its entry last. So a run that was ended anywhere is finished by running it again.

    Args:
        bundle: what scores.
        files: of the archive, all of them.
        root: output folder; new, empty, or of an earlier run with this bundle and these settings.
        settings: how; None takes the defaults.
        engine: where; None is this process.
        shard: score only the recordings of this shard; others may run at the same time.
        progress: called after each recording with its entry and whether it was kept.

    Raises:
        UsageError: the folder holds something else.
        UnavailableError: the folder cannot be written, another run writes there, or the backend or the cluster fails.
    """
    settings, shard = settings or ScoreSettings(), shard or Shard()
    chosen = [file for file in files if shard.holds(file.name)]
    result = ScoreResult(len(chosen))
    header = settings.header(bundle)
    with open_folder(root, header, shard):
        for outcome in (engine or local_engine(1))(chosen, encode_archive(bundle.files), settings, root):
            if isinstance(outcome, LostRecording):
                entry, kept = _lost(outcome.file, header.digest()), False
                write_entry(root, entry)
            else:
                entry, kept = outcome.entry, outcome.kept
            result.add(entry, kept)
            progress(entry, kept)
    return result


def _lost(file: ArchiveFile, settings_sha256: str) -> Entry:
    blank = Entry(file=file.name, bytes=file.bytes, settings_sha256=settings_sha256)
    message = f"{file.name}: its worker died twice while scoring it"
    return failed(blank, message, "was it ended for its memory? run fsq-edge score again", EXIT_UNAVAILABLE)

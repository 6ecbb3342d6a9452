"""The opened bundle of one worker: scores recordings one after the other."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsq_edge.scoring.archive import ArchiveFile
from fsq_edge.scoring.entry import Entry, Failure
from fsq_edge.scoring.folder import output_name, read_entry, write_entry
from fsq_edge.scoring.outputs import RecordFile, file_sha256, open_records
from fsq_edge.scoring.reading import OpenRecording, ScratchError, local_file, open_recording, without_paths
from fsq_edge.scoring.settings import ScoreSettings
from fsq_edge_runtime.bundle.archive import decode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import EXIT_INTERNAL, BackendError, FsqEdgeError, UnavailableError
from fsq_edge_runtime.files import first_line, write_errors
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sources.notices import Notices
from fsq_edge_runtime.stream.records import Decision, Record

MAX_NOTES = 20


class FolderError(UnavailableError):
    """The output folder cannot be written: no other recording can be scored either."""


class StoppedError(Exception):
    """The run was told to stop between two chunks of a recording."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker reports of one recording.

    Attributes:
        entry: in the manifest.
        kept: it was scored before, of the same content, and nothing was written.
        work_s: seconds that it took.
    """

    entry: Entry
    kept: bool
    work_s: float


class Scorer:
    """Scores recordings with one bundle on one backend. For one thread.

    Args:
        bundle: the bundle, as the bytes of its file.
        settings: how to score.
        root: the output folder.
        stopped: asked between chunks whether to give up.

    Raises:
        BackendError: the backend cannot be opened.
    """

    def __init__(
        self, bundle: bytes, settings: ScoreSettings, root: Path, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._bundle = Bundle.from_files(decode_archive(bundle))
        self._settings, self._root, self._stopped = settings, root, stopped
        self._backend = self._bundle.open_session(settings.backend, deadline_ms=0.0).backend
        self._digest = settings.header(self._bundle).digest()

    def score(self, file: ArchiveFile) -> Outcome:
        """Score one recording, unless it was scored before.

        Raises:
            UnavailableError: the output folder, the scratch folder or the backend fails, so no other recording can be
                scored either.
            StoppedError: told to stop; nothing of the recording was written.
        """
        begun = time.monotonic()
        scratch = self._settings.scratch
        with write_errors(scratch or Path(tempfile.gettempdir())):
            workplace = tempfile.TemporaryDirectory(prefix="fsq-edge-score-", dir=scratch, ignore_cleanup_errors=True)
        with workplace as folder:
            entry, kept = self._settle(file, Path(folder))
        return Outcome(entry, kept, time.monotonic() - begun)

    def _settle(self, file: ArchiveFile, workplace: Path) -> tuple[Entry, bool]:
        blank = Entry(file=file.name, bytes=file.bytes, settings_sha256=self._digest)
        copied = workplace / "copy"
        copied.mkdir()
        try:
            with local_file(file, copied, self._settings.scratch is not None) as (path, sha256):
                blank = blank.model_copy(update={"sha256": sha256})
                known = read_entry(self._root, file.name)
                if known is not None and self._is_done(known, blank):
                    return known, True
                entry = self._scored(file, path, workplace, blank)
        except (ScratchError, FolderError, BackendError):
            raise
        except FsqEdgeError as error:
            inside = file.file.name.removesuffix(".gz")
            places = (copied / Path(inside).name, workplace / "in" / inside, workplace / "in", workplace)
            message = without_paths(error, file, *places)
            entry = failed(blank, message, error.hint, error.exit_code)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - one file that trips a defect must not stop an archive
            entry = failed(blank, f"internal error: {type(error).__name__}: {first_line(error)}", "", EXIT_INTERNAL)
        write_entry(self._root, entry)
        return entry, False

    def _is_done(self, known: Entry, now: Entry) -> bool:
        if known.output is None or (known.sha256, known.settings_sha256) != (now.sha256, now.settings_sha256):
            return False
        output = self._root / known.output
        return output.is_file() and file_sha256(output) == known.output_sha256

    def _scored(self, file: ArchiveFile, path: Path, workplace: Path, blank: Entry) -> Entry:
        settings, config = self._settings, self._bundle.preprocess
        notices = Notices(lambda line: None)
        recording = open_recording(file, path, workplace, config, settings, notices)
        rate = settings.source_rate_hz or recording.rate_hz
        session = Session(self._bundle, self._backend, source_rate_hz=rate, deadline_ms=0.0)
        output = output_name(file.name, settings.format)
        labels: Counter[str] = Counter()
        with _records(self._root / output, settings) as records:

            def take(record: Record) -> None:
                records.write(record)
                if isinstance(record, Decision) and record.label is not None:
                    labels[record.label] += 1

            session.on_record = take
            self._push(session, recording)
        totals = session.totals
        return blank.model_copy(
            update={
                "reader": recording.reader,
                "output": output,
                "output_sha256": file_sha256(self._root / output),
                "rows": totals.received,
                "streams": len(session.counters),
                "seconds": round(totals.received / (rate or config.sample_rate_hz), 6),
                "decided": totals.decided,
                "abstained": totals.abstained,
                "missed": totals.missed,
                "labels": dict(sorted(labels.items())),
                "notes": tuple(notices.lines[:MAX_NOTES]),
            }
        )

    def _push(self, session: Session, recording: OpenRecording) -> None:
        for chunk in recording.chunks():
            session.push_many([chunk[:3]])
            if self._stopped():
                raise StoppedError
        session.drain()


@contextmanager
def _records(path: Path, settings: ScoreSettings) -> Iterator[RecordFile]:
    try:
        with open_records(path, settings.format, settings.scores) as records:
            yield records
    except BackendError:
        raise
    except UnavailableError as error:
        raise FolderError(error.message, hint=error.hint) from error


def failed(blank: Entry, message: str, hint: str, exit_code: int) -> Entry:
    """Return the entry of a recording that has no decisions."""
    return blank.model_copy(update={"error": Failure(message=message[:1000], hint=hint[:1000], exit_code=exit_code)})

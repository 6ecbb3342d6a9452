"""The folder that an evaluation leaves behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from fsq_edge.evaluation.report import TITLE, sections, subtitle, verdict
from fsq_edge.evaluation.run_evaluation import RunEvaluation, summary
from fsq_edge.report.html import render
from fsq_edge.report.index import write_page
from fsq_edge.report.markdown import to_markdown
from fsq_edge_runtime.files import write_errors, write_file

REPORT_FILE, PAGE_FILE = "evaluation_report.md", "evaluation.html"
SUMMARY_FILE, PREDICTIONS_FILE = "summary.json", "predictions.npz"


def write_evaluation(evaluated: RunEvaluation, out: Path) -> tuple[Path, ...]:
    """Write report, page, summary and predictions, each whole or not at all; earlier ones are replaced.

    ``generate_report`` and ``save_predictions`` of the run's configuration leave out what they name.

    Args:
        evaluated: what was found.
        out: folder; made if it is not there.

    Returns:
        The files that were written.

    Raises:
        UnavailableError: the folder cannot be written to.
    """
    wanted = evaluated.run.config.evaluation
    files: dict[str, bytes] = {}
    if wanted.generate_report:
        parts, line, notices = sections(evaluated), subtitle(evaluated), evaluated.notices
        files[REPORT_FILE] = to_markdown(TITLE, parts, subtitle=line, notices=notices).encode()
        files[PAGE_FILE] = render(TITLE, parts, subtitle=line, notices=notices, verdict=verdict(evaluated)).encode()
        files |= {picture.file_name: picture.file_bytes() for part in parts for picture in part.figures}
    if wanted.save_predictions:
        files[PREDICTIONS_FILE] = evaluated.predictions.to_bytes(evaluated.run.classes, evaluated.temperature_used)
    files[SUMMARY_FILE] = (
        json.dumps(summary(evaluated), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()
    page = files.pop(PAGE_FILE, None)
    for name, content in files.items():
        write_file(out / name, content)
    if page is not None:
        write_page(out / PAGE_FILE, page.decode())  # after the summary, which marks the folder as ours
        files[PAGE_FILE] = page
    return tuple(out / name for name in files)


def prepare_folder(out: Path) -> None:
    """Make the folder, so that a wrong path is known before the test split is opened.

    Raises:
        UnavailableError: it cannot be made or written to.
    """
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

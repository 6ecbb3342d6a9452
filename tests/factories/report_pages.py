"""Every report, each written by its own verb, from one small run."""

from __future__ import annotations

import json
from pathlib import Path

from fsq_edge.cli.main import run
from fsq_edge.data import write_folder
from tests.factories.labelled import flickering_bundle, labelled_dataset
from tests.factories.runs import train_small_run

NAMES = ("bench", "budget", "calibrate", "check", "evaluate", "folds", "index", "parity", "qa", "quantize", "score",
         "sweep", "sync", "train", "tune")  # fmt: skip
SPACE = "training.learning_rate: {low: 1.0e-3, high: 1.0e-2, log: true}\n"


def make_pages(folder: Path) -> dict[str, Path]:
    """Run the verbs that write pages.

    Returns:
        Name of the verb -> page; ``index`` is that of the BUILD folder.
    """
    train_small_run(folder)
    data, build, bundle = f"folder:{folder / 'data'}", folder / "build", folder / "gait.fsqb"
    log, space, config = folder / "log.jsonl", folder / "space.yaml", folder / "config.yaml"
    space.write_text(SPACE)
    config.write_text(json.dumps({"data": {"source": data}, "training": {"max_epochs": 1}}))
    recording = next((folder / "data").rglob("*.npz"))
    flickering = flickering_bundle()  # tuning helps it
    write_folder(labelled_dataset(flickering), folder / "labelled")
    flickering.save(folder / "flickering.fsqb")
    pages = {name: build / f"{name}.html" for name in ("check", "calibrate", "quantize", "parity", "index")}
    pages |= {name: folder / f"{name}.html" for name in ("qa", "sync", "tune", "bench", "budget")}
    pages |= {"evaluate": folder / "run" / "evaluation" / "evaluation.html", "folds": folder / "folds" / "folds.html"}
    pages |= {"train": folder / "run" / "training.html"}
    pages |= {"score": folder / "scored" / "summary.html", "sweep": folder / "sweep" / "sweep.html"}
    for words in (
        ("data", "qa", data, "--html", pages["qa"]),
        ("data", "sync", folder / "data", "--html", pages["sync"]),
        ("evaluate", folder / "run"),
        ("export", folder / "run", "--out", build),
        ("check", build / "encoder.onnx", "--report", pages["check"]),
        ("calibrate", folder / "run", "--out", build, "--allow-small", "--report", pages["calibrate"]),
        ("quantize", build, "--no-alternatives", "--max-drop", "100", "--min-code-agreement", "0", "--report",
         pages["quantize"]),
        ("parity", build, "--report", pages["parity"]),
        ("bundle", "build", build, "--out", bundle, "--force"),
        ("tune", folder / "flickering.fsqb", "--recordings", f"folder:{folder / 'labelled'}", "--max-delay", "1",
         "--out", folder / "tuned.fsqb", "--html", pages["tune"]),
        ("bench", bundle, "--quick", "--html", pages["bench"]),
        ("run", bundle, "--source", f"npz:{recording}", "--sink", f"jsonl:{log}"),
        ("budget", log, "--html", pages["budget"]),
        ("score", bundle, folder / "data", "--out", folder / "scored"),
        ("train", config, "--folds", "2", "--out", folder / "folds"),
        ("sweep", config, "--space", space, "--storage", f"sqlite:///{folder / 'study.db'}", "--trials", "2", "--out",
         folder / "sweep"),
    ):  # fmt: skip
        assert run([*map(str, words), "--quiet"]) == 0, words
    return pages

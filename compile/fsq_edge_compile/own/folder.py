"""A BUILD folder of a network that was trained elsewhere: for those who go step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from fsq_edge_compile.build_folder import ExportRecord, Labels, Reference
from fsq_edge_compile.foreign.heads import decision_for
from fsq_edge_compile.own.network import OwnNetwork
from fsq_edge_compile.packing.model_name import plain_name
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.files import write_file

MAX_REFERENCE: Final = 2048  # windows that later steps are judged on


def write_network(network: OwnNetwork, folder: Path, name: str) -> ExportRecord:
    """Write the graphs, the head and reference windows; what an earlier network left there goes.

    Args:
        network: with no gate shut, or forced.
        folder: BUILD, made when it does not exist.
        name: of the model.

    Raises:
        UnavailableError: a file cannot be written.
    """
    rows = np.linspace(0, len(network.windows) - 1, min(MAX_REFERENCE, len(network.windows))).astype(np.int64)
    answers = network.tail.index(network.scores)
    counts = tuple(int(count) for count in np.bincount(answers, minlength=network.tail.n_answers))
    subjects = np.full(len(rows), "", dtype=np.str_)
    said = network.tail.index(network.original)
    truth = said
    if network.kind == "softmax":
        truth = np.where(network.labels >= 0, network.labels, said)
    reference = Reference(network.windows[rows], truth[rows], subjects, network.original[rows])
    record = ExportRecord(name=plain_name(name), provenance=network.provenance)
    files = {
        "preprocess.json": network.config.to_json().encode(),
        "labels.json": Labels(classes=network.classes).to_json().encode(),
        "encoder.onnx": network.cut.device,
        "head.json": network.tail.to_bytes(),
        "decision.json": decision_for(network.kind).to_json().encode(),
        "fingerprint.json": Fingerprint(counts=counts, windows=len(answers)).to_json().encode(),
        "reference.npz": reference.to_bytes(),
        "export.json": record.to_json().encode(),
    }
    if network.cut.host is not None:
        files["host.onnx"] = network.cut.host
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*STALE, "host.onnx"):
        if stale not in files:
            (folder / stale).unlink(missing_ok=True)
    for path, content in files.items():
        write_file(folder / path, content)
    return record


# Of another network or an earlier step: they would be taken for this one's.
STALE: Final = (
    *("model.onnx", "head.npz", "validation.npz", "calibration.npz", "calibration.json"),
    *("encoder_int8.onnx", "int8_preview.json", "head_int8.npz", "head_int8.json", "decision_int8.json"),
)

"""Writes the networks of the table as ONNX files: ``python -m tests.survey.exporting FOLDER`` in their environment.

What is there already is kept. Weights of a large file are left out: they become references into one side file of
zeros, which takes no room, and which the checker does not read.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import os
import sys
import time
import warnings
from pathlib import Path

import onnx
import torch

from tests.survey import packages
from tests.survey.truth import Network, read_networks

INLINE_BYTES = 24 << 20
KEPT_BYTES = 1024
SIDE_FILE = "weights.zero"


def write(network: Network, spelling: str, target: Path) -> None:
    """Export a network in one spelling, such as ``dynamo-18``."""
    exporter, _, opset = spelling.partition("-")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft").absolute()
    torch.manual_seed(0)
    files = {"ultralytics": packages.ultralytics_file}
    try:
        if exporter == "file":
            packages.shipped_file(draft, network.model, **network.options)
        elif exporter == "script" and network.package in files:
            files[network.package](draft, int(opset), network.model, **network.options)
        else:
            known = inspect.signature(packages.BUILDERS[network.package]).parameters
            options = {key: value for key, value in network.options.items() if key in known or "options" in known}
            module, example = packages.BUILDERS[network.package](network.model, **options)
            _export(module.eval(), example, int(opset), exporter == "dynamo", draft)
        _without_weights(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _export(module: torch.nn.Module, example: tuple[torch.Tensor, ...], opset: int, dynamo: bool, target: Path) -> None:
    torch.backends.mha.set_fastpath_enabled(False)  # the TorchScript exporter cannot write torch's fused encoder layer
    with torch.no_grad():
        if dynamo:
            program = torch.onnx.export(module, example, dynamo=True, opset_version=opset, verbose=False)
            onnx.save(program.model_proto, target)  # type: ignore[union-attr]
        else:
            torch.onnx.export(module, example, str(target), opset_version=opset, dynamo=False, input_names=["input"])


def _without_weights(path: Path) -> None:
    """Point the large float weights of a large file into the side file; integers may be indices, which count."""
    if path.stat().st_size <= INLINE_BYTES:
        return
    model = onnx.load(path, load_external_data=False)
    side, length = path.parent / SIDE_FILE, 0
    for weights in model.graph.initializer:
        if len(weights.raw_data) > KEPT_BYTES and weights.data_type == onnx.TensorProto.FLOAT:
            size, weights.data_location = len(weights.raw_data), onnx.TensorProto.EXTERNAL
            weights.ClearField("raw_data")
            for key, value in (("location", SIDE_FILE), ("offset", "0"), ("length", str(size))):
                weights.external_data.add(key=key, value=value)
            length = max(length, size)
    if not side.exists() or side.stat().st_size < length:
        with side.open("ab") as file:
            file.truncate(length)
    path.write_bytes(model.SerializeToString())


def main() -> int:
    """Write what is missing; what a package cannot write is printed, and the judging counts it as missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the exports are kept")
    parser.add_argument("names", nargs="*", help="networks or families whose names begin so (default all)")
    parser.add_argument("--exporter", default="", help="script, dynamo or file (default all)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["YOLO_CONFIG_DIR"] = str(arguments.folder.absolute())
    for network in read_networks():
        if not network.is_meant(arguments.names):
            continue
        for spelling in network.exports if network.package != "keras" else ():
            target = network.path(spelling, arguments.folder)
            if target.exists() or not spelling.startswith(arguments.exporter):
                continue
            started = time.perf_counter()
            try:
                write(network, spelling, target)
                outcome = f"{target.stat().st_size / 1e6:.1f} MB"
            except Exception as problem:  # a package that cannot export one network must not stop the survey
                outcome = f"failed: {type(problem).__name__}: {str(problem).splitlines()[:1]}"
            print(f"{network.name:<28} {spelling:<10} {time.perf_counter() - started:6.1f} s  {outcome}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures networks of several widths and depths, and chooses the one with the most work that keeps a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from fsq_edge.deploy.export import export_model
from fsq_edge.deploy.size_table import SizeBudget, SizeRow, SizeTable
from fsq_edge.deploy.trial import run_trial, trained_flips
from fsq_edge.training import TrainConfig
from fsq_edge.training.assembly import draft_preprocess
from fsq_edge.training.run import build_model
from fsq_edge.training.split import WindowSides
from fsq_edge_compile.checker.normalise import normalise
from fsq_edge_compile.checker.statistics import node_size
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.made import installed_version

WIDTHS: Final = (8, 16, 24, 32, 48, 64, 96, 128)
BLOCKS: Final = (2, 3, 4)
ROUNDS: Final = 300
WARM_UP: Final = 30
MOST_TRIALS: Final = 6  # short trainings, a minute or less each, before the limit of flips counts as out of reach

Say = Callable[[str], None]


class Candidate(NamedTuple):
    """A size that fits the data, and its device graph with random weights."""

    row: SizeRow
    encoder: bytes


def choose_size(
    config: TrainConfig, sides: WindowSides, budget: SizeBudget, machine: str, say: Say = lambda line: None
) -> SizeTable:
    """Measure the sizes that the data allow, and choose.

    Time and parameters are measured on untrained networks. Flips need a training: sizes that keep the other limits are
    trained shortly (without the refit), the one with the most work first, until one keeps the limit.

    Args:
        config: everything but ``model.hidden_dim`` and ``model.blocks``.
        sides: the windows; the test part is not touched.
        budget: the limits.
        machine: that this runs on, one line.
        say: called with what was measured.

    Raises:
        UsageError: no size keeps the budget; the message names the limit and what comes nearest.
    """
    measured = _measure(list(_candidates(config, sides, budget.params)))
    table = SizeTable(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        onnxruntime=installed_version("onnxruntime") or "",
        config_sha256=config.digest(),
        budget=budget,
        rows=tuple(sorted(measured, key=lambda row: (-row.macs, -row.params))),
        chosen=0,
    )
    fitting = [at for at, row in enumerate(table.rows) if row.fits(budget)]
    if not fitting:
        raise UsageError(_why_none(table.rows, budget), hint="raise the limit, or shorten preprocessing.window_samples")
    if budget.flips is None:
        return table.model_copy(update={"chosen": fitting[0]})
    return _try_flips(table, fitting[:MOST_TRIALS], budget.flips, config, say)


def sized(config: TrainConfig, row: SizeRow) -> TrainConfig:
    """Return the configuration with the size of a row."""
    model = config.model.model_copy(update={"hidden_dim": row.hidden_dim, "blocks": row.blocks})
    return config.model_copy(update={"model": model})


def with_trained_flips(table: SizeTable, run: Path, seed: int) -> SizeTable:
    """Return the table with the flips of the trained network, where the budget limits them."""
    if table.budget.flips is None:
        return table
    return table.model_copy(update={"trained_flips": trained_flips(run, seed)})


def _try_flips(table: SizeTable, fitting: Sequence[int], limit: float, config: TrainConfig, say: Say) -> SizeTable:
    rows = list(table.rows)
    short = config.model_copy(update={"training": config.training.model_copy(update={"refit_epochs": 0})})
    for at in fitting:
        row = rows[at]
        macro_f1, flips = run_trial(sized(short, row), ("macro-f1", "int8-flips"), lambda record, epochs: None)
        rows[at] = row.model_copy(update={"flips": flips, "val_macro_f1": macro_f1})
        say(f"hidden_dim {row.hidden_dim}, {row.blocks} blocks: {flips:.1%} of the codes flip in the int8 preview")
        if flips <= limit:
            return table.model_copy(update={"rows": tuple(rows), "chosen": at})
    least = min(rows[at].flips or 0.0 for at in fitting)
    raise UsageError(
        f"none of the {len(fitting)} largest networks within the other limits keeps flips={limit:.2%}: the least is "
        f"{least:.2%}",
        hint="raise flips, or use fewer levels in model.fsq_levels",
    )


def _candidates(config: TrainConfig, sides: WindowSides, most_params: int | None) -> Iterator[Candidate]:
    """Yield every size that the rows are long enough for; those with too many parameters without a graph."""
    index = sides.train
    preprocess = draft_preprocess(index.dataset, config, index.window_samples, index.hop_samples)
    counts = len(index.dataset.channels), len(index.dataset.classes)
    for blocks in BLOCKS:
        for width in WIDTHS:
            row = SizeRow(hidden_dim=width, blocks=blocks, params=1, macs=0)
            try:
                model = build_model(sized(config, row), *counts, preprocess)
            except UsageError:
                continue  # a row too short for so many pools, or what the training will refuse with its own words
            params = sum(parameter.numel() for parameter in model.parameters())
            encoder = export_model(model.eval()).encoder
            graph = normalise(encoder, "the network").graph
            macs = sum(node_size(graph, node).macs for node in graph.nodes)
            fits = most_params is None or params <= most_params
            row = SizeRow(hidden_dim=width, blocks=blocks, params=params, macs=macs)
            yield Candidate(row, encoder.SerializeToString() if fits else b"")


def _measure(candidates: Sequence[Candidate]) -> list[SizeRow]:
    """Return the rows with their times, taken in turns, so that what disturbs the machine meets all alike."""
    if not candidates:
        raise DataError("the windows are too short for any size", hint="lengthen preprocessing.window_samples")
    backends = [OnnxBackend(one.encoder) if one.encoder else None for one in candidates]
    taken: list[list[int]] = [[] for _ in candidates]
    for turn in range(WARM_UP + ROUNDS):
        for backend, durations in zip(backends, taken, strict=True):
            if backend is None:
                continue
            begun = time.perf_counter_ns()
            backend.infer(backend.frame)
            if turn >= WARM_UP:
                durations.append(time.perf_counter_ns() - begun)
    return [
        one.row.model_copy(update={"us": round(float(np.median(durations)) / 1e3, 2) if durations else None})
        for one, durations in zip(candidates, taken, strict=True)
    ]


def _why_none(rows: Sequence[SizeRow], budget: SizeBudget) -> str:
    smallest = min(rows, key=lambda row: row.params)
    if budget.params is not None and smallest.params > budget.params:
        return f"no network keeps params={budget.params:,}: the smallest has {smallest.params:,}"
    quickest = min((row for row in rows if row.us is not None), key=lambda row: row.us or 0.0)
    return (
        f"no network keeps us={budget.us:g}: the quickest within the other limits takes {quickest.us:.1f} µs "
        f"(hidden_dim {quickest.hidden_dim}, {quickest.blocks} blocks)"
    )

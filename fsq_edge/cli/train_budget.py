"""``train --budget``: the size of the network chosen from a table that is measured, and kept, beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsq_edge.cli.output import Output, need
from fsq_edge_runtime.files import write_file

if TYPE_CHECKING:
    from fsq_edge.deploy.size_table import SizeBudget, SizeTable
    from fsq_edge.training import TrainConfig
    from fsq_edge.training.split import WindowSides


def read_budget(text: str) -> SizeBudget:
    """Read the option's text; see :meth:`fsq_edge.deploy.size_table.SizeBudget.read`."""
    from fsq_edge.deploy.size_table import SizeBudget

    return SizeBudget.read(text)


def choose_size(settings: TrainConfig, sides: WindowSides, limits: SizeBudget, out: Path, output: Output) -> SizeTable:
    """Return the table of sizes, written beside the run; one that was measured for the same training serves again."""
    need("onnx", "compile")
    from fsq_edge.deploy.size_table import SIZES_FILE, SizeTable
    from fsq_edge.deploy.sizing import choose_size as choose
    from fsq_edge_benchmarks.measure.machine import describe_machine

    machine, path = describe_machine().text(), out / SIZES_FILE
    if path.is_file():
        earlier = SizeTable.load(path)
        if (earlier.machine, earlier.budget, earlier.config_sha256) == (machine, limits, settings.digest()):
            output.say(f"sizes: as measured {earlier.made}, {path}")
            return earlier
    table_of_sizes = choose(settings, sides, limits, machine, output.say)
    write_file(path, table_of_sizes.to_json().encode())
    row = table_of_sizes.choice
    output.say(
        f"sizes: of {len(table_of_sizes.rows)} measured, hidden_dim {row.hidden_dim} with {row.blocks} blocks has the "
        f"most work within the budget: {row.us:.1f} µs, {row.params:,} parameters ({path})"
    )
    return table_of_sizes


def leave_if_broken(sizes: SizeTable, out: Path, seed: int, output: Output) -> None:
    """Write what int8 changes in the trained network into the table; leave with 1 where that is beyond the limit."""
    from fsq_edge.deploy.size_table import SIZES_FILE
    from fsq_edge.deploy.sizing import with_trained_flips

    found = with_trained_flips(sizes, out, seed)
    write_file(out / SIZES_FILE, found.to_json().encode())
    if found.trained_flips is not None:
        limit = f"the budget is {found.budget.flips:.1%}"
        output.say(f"{found.trained_flips:.1%} of the codes flip in the int8 preview, {limit}")
    if not found.keeps_flips:
        click.echo("warning: the trained network breaks the budget of flips; a lower us or params may help", err=True)
        click.get_current_context().exit(1)

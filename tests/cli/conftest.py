"""Whatever a verb hands to ``--json`` in these tests satisfies its schema, asked for or not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import click
import pytest

from fsq_edge.cli import output
from fsq_edge.cli.shapes import SUFFIX, output_places
from tests.factories.json_outputs import validator_of


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive() -> Iterator[None]:
    """A shell that runs the tests in the background has them ignore SIGINT, and with them all that they start."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def outputs_satisfy_their_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    write = output.write_json

    def checked(value: dict[str, Any], json_to: str | None) -> None:
        names, context = [], click.get_current_context(silent=True)
        while context is not None and context.parent is not None:
            names.insert(0, context.info_name or "")
            context = context.parent
        verb = " ".join(names).strip()
        if verb.replace(" ", "-") + SUFFIX in output_places():
            validator_of(verb).validate(output.finite(value))
        write(value, json_to)

    monkeypatch.setattr(output, "write_json", checked)

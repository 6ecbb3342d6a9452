"""What several integration tests start for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.live import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real Mosquitto of this test alone."""
    made = Broker(tmp_path / "broker")
    made.start()
    yield made
    made.kill()

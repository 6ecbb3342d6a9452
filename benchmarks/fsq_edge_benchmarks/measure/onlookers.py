"""A process of its own that looks on: it holds the live page's stream of events open and asks for metrics.

python -m fsq_edge_benchmarks.measure.onlookers PAGE_PORT METRICS_PORT
"""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

SCRAPE_S: Final = 1.0  # Prometheus asks every 15 s, or less often
FIRST_EVENT: Final = "looking"


@contextmanager
def onlooker(page_port: int, metrics_port: int) -> Iterator[None]:
    """Let a process look on until the end of the block; it has seen the page's first event before the block begins."""
    line = [sys.executable, "-m", __name__, str(page_port), str(metrics_port)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            if child.stdout.readline().strip() != FIRST_EVENT:
                raise RuntimeError("the live page sent no event")
            yield
        finally:
            child.terminate()


def _read_page(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/events?stream=0") as events:
        for number, _ in enumerate(events):
            if number == 0:
                print(FIRST_EVENT, flush=True)


def _scrape(port: int) -> None:
    never = threading.Event()
    while not never.wait(SCRAPE_S):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            answer.read()


if __name__ == "__main__":
    threading.Thread(target=_scrape, args=(int(sys.argv[2]),), daemon=True).start()
    with suppress(OSError):
        _read_page(int(sys.argv[1]))

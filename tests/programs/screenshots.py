"""Pictures of the live page and of the reports for the documentation: ``make screenshots``.

    python -m tests.programs.screenshots build/demo docs/images

The folder is one that ``fsq-edge demo`` wrote. The live page streams the held-out recordings of the watch set.
"""

from __future__ import annotations

import argparse
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fsq_edge.cli.main import run as fsq_edge
from fsq_edge.data.watch import load_watch
from fsq_edge_runtime import Bundle
from fsq_edge_runtime.monitor import MonitorSink
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from tests.factories.browser import Page, chromium
from tests.factories.live import eventually

HELD_OUT = ("5", "6")
STREAMS = ("left wrist", "right wrist", "ward 3, bed 2", "spare sensor")
SHOWN_S = 300.0  # of the stream, before the picture is taken
STEP_S = 0.5
VIEWS = {
    "light": (1280, 860, "light"),
    "dark": (1280, 860, "dark"),
    "phone": (390, 1300, "light"),
}
REPORTS = ("check", "parity", "index")


def take_live(page: Page, bundle: Bundle, out: Path) -> None:
    """Stream recordings and take the live page."""
    data = np.concatenate([one.samples for one in load_watch().recordings if one.subject in HELD_OUT])
    rate, stop = bundle.preprocess.sample_rate_hz, threading.Event()
    step = round(rate * STEP_S)

    def chunks() -> Iterator[Chunk]:
        """All streams, far quicker than real time; the last has an axis that drops out, the first a gap."""
        for at in range(0, round(rate * SHOWN_S), step):
            for number, stream in enumerate(STREAMS):
                rows = np.take(data, np.arange(at, at + step) + 4000 * number, axis=0, mode="wrap")
                if number == 3 and at > rate * (SHOWN_S - 20):
                    rows[:, 1] = np.nan
                late_s = 4.0 if number == 0 and at > rate * (SHOWN_S - 35) else 0.0
                yield Chunk(stream, rows, np.arange(at, at + step) / rate + late_s, time.monotonic_ns())
            stop.wait(0.005)
        stop.wait()

    with bundle.open_session("onnx") as session:
        monitor = MonitorSink(about=About.of(session))
        runner = Runner(session, [IterableSource(chunks(), live=True)], [monitor], opening=session.opening)
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        try:
            page.open(monitor.address)
            eventually(lambda: page.text("#where").endswith("5:03"), "the stream has come to its end")
            page.run("document.getElementById('changes').click()")
            for name, (width, height, scheme) in VIEWS.items():
                take(page, out / f"live-{name}.png", width, height, scheme)
        finally:
            stop.set()
            thread.join(10)
            monitor.close()


def take(page: Page, path: Path, width: int, height: int, scheme: str) -> None:
    """Write what the page shows at this size."""
    page.size(width, height)
    page.scheme(scheme)
    time.sleep(1.0)  # the canvases are drawn again
    taken = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    taken.save(path, optimize=True)  # all of its colors: a smaller palette makes two classes one
    print(path)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of the live page and of the reports.")
    parser.add_argument("demo", type=Path, help="folder that `fsq-edge demo` wrote")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    options = parser.parse_args()
    build = options.demo / "build"
    options.out.mkdir(parents=True, exist_ok=True)
    for words in (
        ["check", f"{build}/encoder.onnx", "--report", f"{build}/check.html"],
        ["quantize", str(build), "--report", f"{build}/quantize.html", "--no-alternatives"],
        ["parity", str(build), "--report", f"{build}/parity.html"],
    ):
        if fsq_edge([*words, "--quiet"]) != 0:
            raise SystemExit(f"fsq-edge {' '.join(words)} failed")
    with chromium() as page:
        take_live(page, Bundle.open(options.demo / "watch.fsqb"), options.out)
        for name in REPORTS:
            page.open((build / f"{name}.html").resolve().as_uri())
            take(page, options.out / f"report-{name}.png", 1280, 900, "light")


if __name__ == "__main__":
    main()

"""The two pictures of the README: ``python -m tests.programs.pictures BUNDLE RECORDING MODEL`` writes docs/pictures.

Needs a browser (Debian: chromium, chromium-driver) and selenium.
"""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.factories.browser import Page, chromium

OUT = Path(__file__).parents[2] / "docs" / "pictures"
COLORS = 64
ADDRESS = "127.0.0.1:8123"


def main(bundle: str, recording: str, model: str) -> None:
    """Take both."""
    OUT.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "fsq_edge"]
    with tempfile.TemporaryDirectory() as folder, chromium() as page:
        report = Path(folder, "check.html")
        subprocess.run([*words, "check", model, "--report", str(report), "--quiet"], check=False)
        _take(page, report.as_uri(), "check.png", 660)
        source = ["--source", f"npz:{recording}", "--pace", "realtime", "--sink", f"http:{ADDRESS}"]
        with subprocess.Popen([*words, "run", bundle, *source], stdout=subprocess.DEVNULL) as stream:
            time.sleep(3)
            _take(page, f"http://{ADDRESS}/", "live.png", 720, 40)
            stream.terminate()


def _take(page: Page, address: str, name: str, height: int, wait_s: float = 0.0) -> None:
    page.size(1280, height)
    page.open(address)
    time.sleep(wait_s)
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    picture.quantize(COLORS).save(OUT / name, optimize=True)
    print(f"{OUT / name}: {(OUT / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])

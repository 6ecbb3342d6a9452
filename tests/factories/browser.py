"""A real Chromium without a window, driven by Selenium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.factories.live import eventually

_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip


class Page:
    """One open page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script)

    def text(self, selector: str) -> str:
        """Return the text of the first element, or nothing."""
        script = f"return document.querySelector({selector!r})?.textContent ?? ''"
        return str(self.run(script))

    def until(self, holds: Callable[[], object], what: str) -> None:
        eventually(holds, what)

    def size(self, width: int, height: int) -> None:
        """Set the size of the page in CSS pixels: a window cannot be as narrow as a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        media = {"features": [{"name": "prefers-color-scheme", "value": name}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def key(self, name: str) -> None:
        """Press a key as a person does, on what has the focus."""
        code = {"Enter": 13, "Tab": 9}.get(name, 0)
        for kind in ("rawKeyDown", "char", "keyUp"):
            if kind != "char" or name == "Enter":
                event = {"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code}
                self.driver.execute_cdp_cmd(
                    "Input.dispatchKeyEvent", {**event, **({"text": "\r"} if kind == "char" else {})}
                )

    def complaints(self) -> list[str]:
        """Return what the page's console says of errors."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@contextmanager
def chromium() -> Iterator[Page]:
    """Start a browser; skip the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (the extra 'dev')")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    browser, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its driver (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=service.Service(driver))
    try:
        yield Page(made)
    finally:
        made.quit()

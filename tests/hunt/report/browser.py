"""Chromium without a window, as a test drives it: what it logs, what it asks for, what it shows."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Nothing but the page may be seen on the wire, and no state of an earlier run.
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--force-device-scale-factor=1"),
)


_PATIENCE = 30  # seconds until a page goes for broken, and what does not come for wrong
_IS_THERE = (
    "return location.href.startsWith(arguments[0]) && document.readyState === 'complete'"
    " && 'ready' in document.documentElement.dataset"
)


@dataclass(frozen=True, slots=True)
class Browser:
    """One session; pages one after the other."""

    driver: Any
    downloads: Path

    def open(self, page: Path, fragment: str = "") -> None:
        """Show a file; what earlier pages logged is forgotten."""
        self.driver.get("about:blank")  # else only the fragment would change
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page.as_uri() + fragment)
        self.comes(_IS_THERE, page.as_uri())  # the driver may come back while the blank page is still there

    def run(self, script: str, *values: object) -> Any:
        """What a script of the test returns."""
        return self.driver.execute_script(script, *values)

    def comes(self, script: str, *values: object) -> Any:
        """The first thing a script of the test returns that is true, or at last what it returns.

        What a key, a click or a new width does, a page may do after the driver is back.
        """
        until = time.monotonic() + _PATIENCE
        while not (said := self.run(script, *values)) and time.monotonic() < until:
            time.sleep(0.02)
        return said

    def busy(self) -> float:
        """Seconds of the processor since this page, or another before it, was opened: not what else is done there."""
        measured = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return float({metric["name"]: metric["value"] for metric in measured}["TaskDuration"])

    def texts(self, selector: str) -> list[str]:
        """What the elements say, in order; hidden ones too."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)", selector
        )
        return found

    def set(self, selector: str, value: str) -> None:
        """Type into a field, or choose."""
        self.run(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input'))",
            selector,
            value,
        )

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """`mouseMoved`, `mousePressed` or `mouseReleased` at a place of the window."""
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, breaches of the policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self) -> dict[str, str]:
        """Every address that the page asked for, itself first; why it was not even sent, or ""."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        failed = {e["params"]["requestId"]: e["params"] for e in events if e["method"] == "Network.loadingFailed"}
        asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        blocked = {e["requestId"]: failed.get(e["requestId"], {}).get("blockedReason", "") for e in asked}
        return {e["request"]["url"]: blocked[e["requestId"]] for e in asked if e["request"]["url"] != "data:,"}

    def look(self, width: int, dark: bool = False) -> None:
        """A window so many pixels wide, in light or dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def picture(self, path: Path, selector: str = "html", most: int = 6000) -> None:
        """A PNG of an element, up to so many pixels high."""
        place = "const r = document.querySelector(arguments[0]).getBoundingClientRect(); "
        y, width, height = self.run(place + "return [r.top + scrollY, innerWidth, r.height];", selector)
        clip = {"x": 0, "y": y, "width": width, "height": min(height, most), "scale": 1}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A session with a profile of its own in the folder. Skips the test where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("no chromium and chromedriver here: pages are not looked at (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium here: pages are not looked at")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    try:
        yield Browser(driver, folder)
    finally:
        driver.quit()

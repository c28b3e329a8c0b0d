"""Pictures for the README come out of a command."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from lxml import etree

from contrib import pictures
from hunt import pipeline
from hunt.model import Report
from tests.helpers import ROOT


@pytest.fixture(scope="module")
def report() -> Report:
    return pipeline.run(pipeline.Request([ROOT / pictures.SAMPLE], [pictures.FINDING]))


def test_the_terminal_is_drawn_the_same_every_time_and_asks_for_nothing_elsewhere(report: Report) -> None:
    drawn = pictures.terminal(report)
    assert drawn == pictures.terminal(report)
    said = "".join(etree.fromstring(drawn.encode()).itertext()).replace("\xa0", " ")
    assert f"$ hunt run {pictures.SAMPLE}" in said and "powershell.exe (6128)" in said
    assert "@font-face" not in drawn and not re.search(r"(?:src|href)=|url\((?!#)", drawn)


def test_the_pictures_are_there() -> None:
    assert (ROOT / "docs" / "terminal.svg").stat().st_size < 100_000
    picture = (ROOT / "docs" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 300_000


def test_without_a_browser_one_line_says_so(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="chromium and chromedriver are needed"):
        pictures.photograph(report, tmp_path / "a.png")

"""`make pictures`: what a user sees, out of a sample: docs/terminal.svg and docs/report.png; for the README.

python -m contrib.pictures [--out docs]. The terminal is drawn by rich and always the same; it asks for no font from
elsewhere. The report is seen in headless Chromium (Debian: chromium, chromium-driver), 1280 pixels wide, cropped to the
finding that is open, as far as its tree and what to do next; pixels depend on the fonts and the browser of the machine.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from hunt import pipeline
from hunt.model import Report
from hunt.output import _terminal
from hunt.output._summary import counted, limits
from hunt.report import page

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "samples/logs/mail-theft.evtx"
FINDING = "outlook-script-host"  # whose tree the picture of the report shows
COLUMNS, PIXELS = 110, 1280
FINDINGS = 3  # that the picture of the terminal shows


def terminal(report: Report) -> str:
    """The terminal after `hunt run`, as SVG."""
    console = Console(
        record=True, file=io.StringIO(), width=COLUMNS, highlight=False, markup=False, force_terminal=True,
        color_system="truecolor", legacy_windows=False,
    )  # fmt: skip
    console.print(f"$ hunt run {SAMPLE}\n", style="bold green")
    _terminal.show(report, console, FINDINGS)
    console.print(f"hunt: {'; '.join((counted(report), *limits(report)))}")
    drawn = console.export_svg(title="evtx-hunt", unique_id="evtx-hunt")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def photograph(report: Report, path: Path) -> None:
    """The report in a browser, as PNG, cropped to a finding."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")) or not shutil.which("chromedriver"):
        sys.exit("pictures: chromium and chromedriver are needed for docs/report.png (Debian: chromium-driver)")
    from tests.hunt.report.browser import browser

    (named, *_) = report.findings.filter(query=FINDING, severity="high")["finding_id"]
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as shown:
        file = Path(folder) / "report.html"
        file.write_text(page(report), encoding="utf-8")
        shown.look(PIXELS)
        shown.open(file, f"#finding={named}")
        time.sleep(0.3)  # the picture above it is drawn, and takes its room
        high = shown.run(
            "const top = (element) => element.getBoundingClientRect().top;"
            "const [story] = [...document.querySelectorAll('#finding h4')].filter((h) => h.textContent === 'Story');"
            "return top(story) - top(document.getElementById('finding'))"
        )
        shown.picture(path, "#finding", int(high))


def main() -> None:
    """Draw both."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=ROOT / "docs")
    out = options.parse_args().out
    request = pipeline.Request([ROOT / SAMPLE], options={"evidence": [SAMPLE]}, stories=True)
    report = pipeline.run(request)
    (out / "terminal.svg").write_text(terminal(report), encoding="utf-8", newline="\n")
    photograph(report, out / "report.png")


if __name__ == "__main__":
    main()

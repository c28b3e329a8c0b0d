"""The folder of results that `-o OUT` asks for: four CSV files, then manifest.json, which names their hashes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from hunt import __version__
from hunt.evidence import identify
from hunt.model import Report, Tally
from hunt.output._rows import tables
from hunt.output.csv import encode

_LIBRARIES = ("polars", "numpy", "pyarrow", "python-evtx", "lxml", "rich", "click")


def write_folder(report: Report, folder: Path, started: datetime) -> None:
    """findings, events, queries, problems.csv and manifest.json; earlier ones are replaced. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables(report).items():
        path = folder / f"{name}.csv"
        _replace(path, encode(table, raw=report.options.get("csv") == "raw"))
        written.append(path)
    manifest = _manifest(report, started) | {"outputs": {path.name: identify(path).sha256 for path in written}}
    _replace(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old or the new one, whole."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def _manifest(report: Report, started: datetime) -> dict[str, object]:
    """What was read, with which tool and options. The only place for clocks."""
    return {
        "tool": {"name": "evtx-hunt", "version": __version__},
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
        "options": dict(report.options),
        "evidence": [_file(tally) for tally in report.tallies],
        "skipped": list(report.skipped),
        "hosts": list(report.hosts),
        "records_found": sum(t.found for t in report.tallies),
        "records_read": sum(t.read for t in report.tallies),
        "values_unparsed": report.unparsed,
        "problems": len(report.problems),
        "findings": report.findings.height,
    }


def _file(tally: Tally) -> dict[str, object]:
    return {
        "source": tally.evidence.source,
        "size": tally.evidence.size,
        "sha256": tally.evidence.sha256,
        "parser": tally.parser,
        "records_found": tally.found,
        "records_read": tally.read,
        "problems": tally.problems,
    }

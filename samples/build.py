"""Write the sample logs from their scenarios: `python -m samples.build [--check] [--out DIR]`.

Output: logs/*.evtx, damaged/*.evtx and expected.yml, what the hunts owe for each; exports/* out of exports.yml.
With --check nothing is written; exit status 1 tells that a committed file differs from what would be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from samples import damage, exports
from samples.event import as_values
from samples.scenario import Log, Scenario, load
from samples.values import filetime_text, to_filetime

FLAGSHIP = "outlook-script-host"
HERE = Path(__file__).parent
_HEAD = "# Written by python -m samples.build from scenarios/*.yml: what each log shows and what must be found in it.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or check; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m samples.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the files there; 1 if any differs")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: samples/)")
    options = parser.parse_args(arguments)
    files = build(scenarios())
    if options.check:
        return check(files, options.out)
    for name, content in files.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return 0


@cache
def scenarios() -> list[Scenario]:
    """All scenarios, by file name."""
    return [load(path) for path in sorted((HERE / "scenarios").glob("*.yml"), key=lambda path: path.name)]


def build(loaded: Sequence[Scenario]) -> dict[str, bytes]:
    """Every file's content by its path below samples/, with / between folders."""
    logs = [log for scenario in loaded for log in scenario.logs]
    files = {path_of(log): _content(log) for log in logs}
    if len(files) < len(logs):
        raise ValueError("two logs have the same file name")
    text = yaml.safe_dump(_expected(logs), sort_keys=False, allow_unicode=True, width=120)
    files |= exports.build(exports.scenarios())
    files["expected.yml"] = (_HEAD + text).encode()
    return files


def check(files: Mapping[str, bytes], folder: Path) -> int:
    """Name every file that is missing, differs or has no scenario, on standard error; 1 if there is one."""
    there = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.evtx")}
    problems = [f"{name}: no scenario writes it" for name in sorted(there - files.keys())]
    for name, content in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name}: missing")
        elif path.read_bytes() != content:
            problems.append(f"{name}: differs")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def path_of(log: Log) -> str:
    """Where a log lies below samples/."""
    return f"{'damaged' if log.damage else 'logs'}/{log.file}"


def _content(log: Log) -> bytes:
    content = log.content
    for step in log.damage:
        content = damage.apply(content, step)
    return content


def _expected(logs: Sequence[Log]) -> dict[str, Any]:
    paths = {log.file: path_of(log) for log in logs}
    return {path_of(log): _expected_of(log, paths) for log in sorted(logs, key=path_of)}


def _expected_of(log: Log, paths: Mapping[str, str]) -> dict[str, Any]:
    expected: dict[str, Any] = {"shows": log.shows.strip()}
    if log.damage:
        at_least, at_best = log.expect["records"]
        expected |= {"records_at_least": at_least, "records_at_best": at_best}
        expected["problems_at_least"] = log.expect["problems"]
    else:
        expected["records"] = len(log.events)
    expected["findings"] = [_finding(log, entry, paths) for entry in log.expect.get("must_find", ())]
    expected["not_findings"] = [
        {"query": entry.get("query", FLAGSHIP), "record": _record(log, entry["child"]), "because": entry["because"]}
        for entry in log.expect.get("must_not_find", ())
    ]
    return expected


def _finding(log: Log, entry: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    child = log.events[log.labels[entry["child"]]]
    own = dict(as_values(child.data or ()))
    parent = own.get("ParentImage") or own.get("ParentProcessName")
    return {
        "query": entry.get("query", FLAGSHIP),
        "grade": entry.get("grade", "direct"),
        "host": child.computer,
        "record": _record(log, entry["child"]),
        "time": own["UtcTime"].text if "UtcTime" in own else filetime_text(to_filetime(child.time)),
        "parent_image": parent.text if parent else "",
        "parent_start": entry.get("parent_start", "event" if entry.get("grade", "direct") else ""),
        "verdict": entry.get("verdict", "match"),
        "sources": [paths[name] for name in entry.get("sources", [log.file])],
    }


def _record(log: Log, label: str) -> int:
    return int(log.events[log.labels[label]].record_id or 0)


if __name__ == "__main__":
    raise SystemExit(main())

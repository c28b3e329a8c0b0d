"""manifest.json: what was read, with which tool, rules and options, and what came of it. The only place for clocks."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata

from hunt import __version__, native
from hunt.model import Evidence, QueryResult, Report, Tally

_DISTRIBUTION = "evtx-hunt"


def manifest(report: Report, started: datetime, outputs: Mapping[str, str]) -> dict[str, object]:
    """Everything but `clock` is the same for the same evidence, options and tool. `outputs`: SHA-256 by file name."""
    kinds = Counter(problem.kind for problem in report.problems)
    return {
        "tool": {"name": _DISTRIBUTION, "version": __version__, "kernels": native.kernels is not None},
        "libraries": dict(_libraries()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "clock": _clock(report, started),
        "options": dict(report.options),
        "complete": not report.interrupted,
        "not_read": list(report.unread),
        "queries": [_query(query, report.rules) for query in report.queries],
        "rules_left_out": report.left_out,
        "containers": [_identity(item) for item in report.containers],
        "evidence": [_file(tally) for tally in report.tallies],
        "skipped": list(report.skipped),
        "skipped_files": len(report.skipped),
        "hosts": list(report.hosts),
        "records_found": sum(t.found for t in report.tallies),
        "records_read": sum(t.read for t in report.tallies),
        "values_unparsed": report.unparsed,
        "problems": len(report.problems),
        "problems_by_kind": dict(sorted(kinds.items())),
        "findings": report.findings.height,
        "findings_hidden": sum(report.hidden.values()),
        "findings_suppressed": report.findings.height - report.findings["suppressed"].null_count(),
        "allowlist": report.allowed,
        "outputs": dict(outputs),
    }


def _clock(report: Report, started: datetime) -> dict[str, object]:
    finished = datetime.now(UTC)
    return {
        "started": started.isoformat(),
        "finished": finished.isoformat(),
        "seconds": round((finished - started).total_seconds(), 3),
        "steps": dict(report.timings),
    }


def _libraries() -> Iterator[tuple[str, str]]:
    """(name, version) of what the tool needs to run, and of its extras as far as they are there."""
    try:
        required = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        required = []
    for name in sorted({_name(line) for line in required if 'extra == "test"' not in line}, key=str.lower):
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # of an extra, or of another system


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _query(query: QueryResult, rules: Mapping[str, str]) -> dict[str, object]:
    return {
        "query": query.query,
        "file": query.file,
        "sha256": rules.get(query.query),
        "status": query.status.value,
        "findings": query.findings,
    }


def _identity(item: Evidence) -> dict[str, object]:
    modified = item.modified.astimezone(UTC).isoformat() if item.modified else None
    return {"source": item.source, "size": item.size, "sha256": item.sha256, "modified": modified}


def _file(tally: Tally) -> dict[str, object]:
    return {
        **_identity(tally.evidence),
        "parser": tally.parser,
        "records_found": tally.found,
        "records_read": tally.read,
        "problems": tally.problems,
    }

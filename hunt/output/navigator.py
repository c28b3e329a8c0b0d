"""A layer for the ATT&CK Navigator: how many findings each technique has, and what could not be looked for.

Layer format 4.5: https://github.com/mitre-attack/attack-navigator/blob/master/layers/spec/v4.5/layerformat.md
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TextIO

from hunt import __version__
from hunt.model import QueryResult, Report, Severity, Status
from hunt.output._safe import safe
from hunt.output._stream import as_bytes
from hunt.output._summary import counted

_VERSIONS = {"attack": "17", "navigator": "5.1.0", "layer": "4.5"}  # of ATT&CK as `hunt.attack` has it
_SCORES = ("#fff3e0", "#ff9800", "#c62828")  # from the fewest findings to the most
_CLEAN, _PARTLY, _UNKNOWN = "#c8e6c9", "#fff59d", "#bdbdbd"
_LEGEND = (
    ("findings, the more the darker", _SCORES[1]),
    ("looked for everywhere, nothing found that is not suppressed", _CLEAN),
    ("nothing found, on part of the evidence or by part of the findings", _PARTLY),
    ("could not be looked for: unknown, not clean", _UNKNOWN),
)
_MOST = 25  # queries that a technique lists


def write(report: Report, out: TextIO) -> None:
    """One layer, as JSON. The score of a technique is the number of its findings that no allowlist suppresses."""
    as_bytes(out).write((json.dumps(_layer(report), indent=1) + "\n").encode())


def _layer(report: Report) -> dict[str, object]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    columns = report.findings.select("query", "severity", "suppressed", "techniques")
    for _, severity, suppressed, named in columns.iter_rows():
        for technique in set(named or ()):
            found[technique]["suppressed" if suppressed is not None else severity] += 1
    looked: dict[str, list[QueryResult]] = defaultdict(list)
    for query in report.queries:
        for technique in report.techniques.get(query.query, ()):
            looked[technique].append(query)
    told = [_technique(t, found[t], looked[t], _hidden(report, looked[t])) for t in sorted({*found, *looked})]
    most = max([1, *(_score(counts) for counts in found.values())])
    return {
        "name": "evtx-hunt",
        "versions": _VERSIONS,
        "domain": "enterprise-attack",
        "description": counted(report),
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True, "expandedSubtechniques": "annotated"},
        "hideDisabled": False,
        "techniques": told,
        "gradient": {"colors": list(_SCORES), "minValue": 0, "maxValue": most},
        "legendItems": [{"label": label, "color": color} for label, color in _LEGEND],
        "metadata": list(_metadata(("tool", f"evtx-hunt {__version__}"), *_statuses(report.queries))),
    }


def _hidden(report: Report, queries: Iterable[QueryResult]) -> int:
    """Findings that filters hide: of these queries, or of ones that are not known any more."""
    return report.hidden.get("", 0) + sum(report.hidden.get(query.query, 0) for query in queries)


def _technique(
    technique: str, counts: Mapping[str, int], queries: Sequence[QueryResult], hidden: int
) -> dict[str, object]:
    severities = [f"{counts[s.value]} {s.value}" for s in reversed(Severity) if counts[s.value]]
    said = ", ".join((*severities, *([f"{counts['suppressed']} suppressed"] if counts["suppressed"] else [])))
    told: dict[str, object] = {"techniqueID": technique, "enabled": True, "comment": _comment(said, queries, hidden)}
    if _score(counts):
        told["score"] = _score(counts)
    else:
        told["color"] = _color(queries, hidden)
    told["metadata"] = list(_metadata(*_of_queries(queries)))
    return told


def _score(counts: Mapping[str, int]) -> int:
    return sum(count for name, count in counts.items() if name != "suppressed")


def _color(queries: Sequence[QueryResult], hidden: int) -> str:
    """Of a technique that nothing was found of: by whether that means anything."""
    able = [query for query in queries if query.status.able]
    if queries and not able:
        return _UNKNOWN
    return _CLEAN if not hidden and all(query.status is Status.RAN for query in queries) else _PARTLY


def _comment(found: str, queries: Sequence[QueryResult], hidden: int) -> str:
    unable = sum(not query.status.able for query in queries)
    partly = sum(query.status is Status.PARTLY for query in queries)
    parts = [f"findings: {found}" if found else "no findings"]
    if hidden:
        parts.append(f"up to {hidden} more hidden by filters")
    if unable:
        parts.append(f"{unable} of {len(queries)} queries could not run: unknown is not clean")
    if partly:
        parts.append(f"{partly} of {len(queries)} queries could not run on all hosts")
    return "; ".join(parts)


def _of_queries(queries: Sequence[QueryResult]) -> Iterator[tuple[str, str]]:
    """Those with findings first, then those that could not run."""
    ordered = sorted(queries, key=lambda q: (-q.findings, q.status is Status.RAN, q.query))
    for query in ordered[:_MOST]:
        reason = f": {query.reason}" if query.reason else ""
        yield query.query, f"{query.status.value.replace('_', ' ')}, findings: {query.findings}{reason}"
    if len(ordered) > _MOST:
        yield "and more", f"{len(ordered) - _MOST} queries (queries.csv)"


def _statuses(queries: Iterable[QueryResult]) -> Iterator[tuple[str, str]]:
    counts = Counter(query.status for query in queries)
    yield from ((f"queries: {status.value.replace('_', ' ')}", str(counts[status])) for status in Status)


_LONGEST = 400  # characters of a value: it is shown in a tooltip


def _metadata(*pairs: tuple[str, str]) -> Iterator[dict[str, str]]:
    for name, value in pairs:
        shown = safe(value)
        cut = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)"
        yield {"name": safe(name)[:_LONGEST], "value": cut}

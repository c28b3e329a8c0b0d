"""One line that counts a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hunt.model import Report, Status


def counted(report: Report) -> str:
    """`8 findings; 120 of 123 records read in 2 files of 1 host; 3 problems`."""
    found, read = (sum(getattr(t, what) for t in report.tallies) for what in ("found", "read"))
    records = _number(read, "record") if read == found else f"{read} of {found} records"
    hidden = sum(report.hidden.values())
    suppressed = report.findings.height - report.findings["suppressed"].null_count()
    notes = [f"{suppressed} suppressed by the allowlist"] * bool(suppressed)
    notes += [f"{hidden} more hidden by filters"] * bool(hidden)
    parts = [
        _number(report.findings.height, "finding") + (f" ({', '.join(notes)})" if notes else ""),
        f"{records} read in {_number(len(report.tallies), 'file')} of {_number(len(report.hosts), 'host')}",
    ]
    if report.problems:
        parts.append(_number(len(report.problems), "problem"))
    if report.skipped:
        parts.append(f"{_number(len(report.skipped), 'file')} of other formats skipped")
    return "; ".join(parts)


def limits(report: Report) -> Iterator[str]:
    """What could not be looked for: a run that finds nothing is no clean one then."""
    counts = Counter(query.status for query in report.queries)
    unable = sum(count for status, count in counts.items() if not status.able)
    bad = [f"{counts[s]} {s.value}" for s in (Status.UNSUPPORTED, Status.INVALID) if counts[s]]
    if unable:
        named = "it looks" if unable == 1 else "they look"
        which = f" ({', '.join(bad)})" if bad else ""
        yield f"{_number(unable, 'query', 'queries')} could not run{which}, so nothing is known of what {named} for"
    if counts[Status.PARTLY]:
        yield f"{_number(counts[Status.PARTLY], 'query', 'queries')} could not run on all hosts"


def _number(count: int, thing: str, things: str = "") -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {things or thing + 's'}"

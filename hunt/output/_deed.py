"""Who did what: a finding in half a line, for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hunt.output._safe import safe

Part = str | tuple[str, str]  # (text, style)
Row = Mapping[str, object]  # of findings, flat or not


def deed(row: Row) -> list[Part]:
    """`a.exe (1) → b.exe (2)`, `a.exe (1): object`; for events without images who did what to what. Safe to print."""
    known = row["image"] or (row["pid"] is not None and row["actor"] is None)
    who = name(row, "image", "pid") if known else ""
    target = name(row, "target_image", "target_pid")
    if row["target_image"] or row["target_pid"] is not None or row["grade"]:
        return [(who or "unknown", "bold"), " → ", (target, "bold")]
    what = ": ".join(part for part in (text(row, "action"), short(text(row, "object"))) if part)
    if row["parent_image"] and not what:
        return [name(row, "parent_image"), " → ", (who, "bold")]
    actor = who or text(row, "actor")
    return [(actor, "bold"), ": " if actor and what else "", what] if actor or what else [("event", "bold")]


def message(row: Row) -> str:
    """The same without styles, with when it happened after the first event, the grade and the reason."""
    said = "".join(part if isinstance(part, str) else part[0] for part in deed(row))
    after = f" {elapsed(row)}" if elapsed(row) else ""
    grade = f" (grade {text(row, 'grade')})" if row["grade"] else ""
    reason = text(row, "reason") or text(row, "title")
    return f"{said}{after}{grade}: {reason}"


def elapsed(row: Row) -> str:
    """`after 2 s`: from the first event to what it led to; `within 200 s` if that is no process; "" for one moment."""
    span = row["span_seconds"]
    if span is None:
        return ""
    led = row["target_image"] is not None or row["target_pid"] is not None or bool(row["grade"])
    return f"after {_duration(float(str(span)))}" if led else f"within {_duration(float(str(span)))}" if span else ""


def _duration(seconds: float) -> str:
    """`0.8 s`, `12 min 5 s`, `2 h 56 min`, `11 d 14 h`."""
    if not 0 <= seconds < float("inf"):
        return f"{seconds:g} s"
    if seconds < 600:
        return f"{seconds:.6f}".rstrip("0").rstrip(".") + " s"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next(place for place, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for name, size in units[first : first + 2]:
        parts.append(f"{whole // size} {name}" if whole >= size else "")
        whole %= size
    return " ".join(filter(None, parts))


_FEW = 3  # parts that a sentence can take


_MORE = re.compile(r"; and (\d{1,9}) more$")


def unfolded(reason: str, evidence: Sequence[str]) -> tuple[str, list[str], int]:
    """A reason that tells much of the evidence again without that, the evidence, and how much more there was of it.

    A chain's reason tells its steps: people want them one below the other.
    """
    rest, told = reason, 0
    for item in evidence[:_MOST]:
        begin, found, end = rest.partition(f"; {item}")
        if found and (not end or end.startswith(";")):
            rest, told = begin + end, told + 1
    if told <= _FEW:
        return reason, [], 0
    more = _MORE.search(rest)
    left = max(0, int(more[1]) - (len(evidence) - told)) if more else 0
    return _MORE.sub("", rest), [*evidence], left


_ISO = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z ")


def brief(step: str) -> str:
    """With a time at its beginning to the second."""
    return _ISO.sub(r"\1 \2 ", step)


_MOST = 1_000  # parts of a reason that are looked for
_SHOWN = 240  # characters of a command line; all of it stands in findings.csv


def short(said: str) -> str:
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}… ({len(said)} characters)"


def name(row: Row, image: str, pid: str = "") -> str:
    """`outlook.exe (4711)`."""
    path = "" if row[image] is None else str(row[image])
    own = safe(path.replace("/", "\\").rsplit("\\", 1)[-1]) or "unknown"  # what `safe` writes has backslashes, too
    return f"{own} ({row[pid]})" if pid and row[pid] is not None else own


def text(row: Row, column: str) -> str:
    """Safe to print; "" for null."""
    return safe(str(row[column])) if row[column] is not None else ""

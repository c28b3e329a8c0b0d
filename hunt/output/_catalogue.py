"""What the queries cover and need: the ATT&CK matrix of all, and the evidence of each (`hunt queries`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TextIO

from hunt import attack
from hunt.coverage import required
from hunt.model import ANY_ID, EventType, Help, Hunt, Need
from hunt.output._safe import safe


def write(hunts: Sequence[Hunt], shown: str, out: TextIO) -> None:
    """`table`: the matrix, then each query; `jsonl`: an object for each query."""
    lines = map(_json, hunts) if shown == "jsonl" else _text(hunts)
    for line in lines:
        out.write(f"{line}\n")


def _text(hunts: Sequence[Hunt]) -> Iterator[str]:
    yield "ATT&CK"
    cells = attack.matrix((hunt.id, hunt.attack) for hunt in hunts)
    for tactic, covered in groupby(cells, key=lambda cell: cell.tactic):
        yield f"\n{tactic}"
        for cell in covered:
            yield f"  {cell.technique:<9}  {cell.name}".rstrip()
            yield f"             {', '.join(map(safe, cell.queries))}"
    yield "\nQueries: id, severity, techniques, title"
    for hunt in hunts:
        yield f"\n{safe(hunt.id)}\t{hunt.severity}\t{','.join(hunt.attack)}\t{safe(hunt.title)}"
        yield from (f"  {line}" for line in _evidence(hunt))


def _evidence(hunt: Hunt) -> Iterator[str]:
    """What a query can't do without, what may stand in for it, and what it tells more with."""
    if hunt.needs:
        yield f"needs {_named(hunt.needs)}"
    for group in hunt.any_of:
        yield f"needs {'any of ' * (len(group) > 1)}{_named(group)}"
    if hunt.instead:
        yield f"or, in their place, {_instead(hunt)}"
    known = {need.event_type.key for need in required(hunt)}
    more: list[Need | Help] = [of for of in _others(hunt) if of.event_type.key not in known]
    if more:
        yield f"tells more with {_named(more)}"


def _others(hunt: Hunt) -> tuple[Need | Help, ...]:
    return *hunt.helps, *hunt.reads


def _instead(hunt: Hunt) -> str:
    """Where it is the same event, the fields tell what is meant."""
    same = {need.event_type.key for need in hunt.needs} == {need.event_type.key for need in hunt.instead}
    fields = sorted({field for need in hunt.instead for field in need.keys}) if same else []
    return _named(hunt.instead) + (f" with {', '.join(fields)} alone" if fields else "")


def _named(needs: Iterable[Need | Help]) -> str:
    """`Microsoft-Windows-Sysmon/Operational 1, 3, Security 4688`; each once, by channel as first named."""
    ids: dict[str, set[int]] = {}
    for kind in map(_type, needs):
        ids.setdefault(kind.channel, set()).add(kind.event_id)
    return "; ".join(f"{safe(channel)} {_ranges(sorted(found))}" for channel, found in ids.items())


def _ranges(numbers: Sequence[int]) -> str:
    """`1, 3-5, 7`; `any`."""
    if ANY_ID in numbers:
        return "any"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _type(of: Need | Help) -> EventType:
    return of.event_type


def _json(hunt: Hunt) -> str:
    return json.dumps(
        {
            "query": hunt.id,
            "title": hunt.title,
            "severity": str(hunt.severity),
            "risk_score": hunt.risk_score,
            "techniques": list(hunt.attack),
            "tactics": sorted({tactic for technique in hunt.attack for tactic in attack.tactics(technique)}),
            "needs": _events(hunt.needs),
            "any_of": [_events(group) for group in hunt.any_of],
            "instead": _events(hunt.instead),
            "reads": _events(hunt.reads),
            "helps": [{"channel": h.channel, "event_id": h.event_id, "without": h.without} for h in hunt.helps],
        },
        ensure_ascii=False,
    )


def _events(needs: Iterable[Need]) -> list[dict[str, object]]:
    return [{"channel": n.channel, "event_id": n.event_id, "fields": sorted(n.columns)} for n in needs]

"""Files of EQL rules -> hunts: ours (`.eql`, with what a rule says of itself before it) and Elastic's (`.toml`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hunt import ecs, lineage
from hunt.eql import elastic, ours, plan
from hunt.eql.explained import lines
from hunt.eql.pack import Pack
from hunt.eql.parser import parse
from hunt.eql.plan import Plan
from hunt.eql.syntax import Query
from hunt.model import SYSMON, Help
from hunt.rules.model import Loaded, RuleError, RuleInfo, Takes, Unusable, every, hunt_of

_FORMATS = {".eql": ours.read, ".toml": elastic.read}
# What can't be told without some event types, for fields that are inferred from neighbours.
_HELPS: tuple[tuple[str, tuple[Help, ...]], ...] = (
    (plan.REQUESTER, lineage.HELPS),
    ("process.code_signature.", (Help(SYSMON, 7, "whether the files of processes are signed is not known"),)),
    ("process.Ext.relative_file_", (Help(SYSMON, 11, "how old the files of processes are is not known"),)),
)


def load(paths: Sequence[Path], takes: Takes = every) -> Iterator[Loaded | Unusable]:
    """The rules of these files; all that can be run are evaluated together."""
    ready: list[tuple[RuleInfo, Plan]] = []
    for path in paths:
        found = _FORMATS[path.suffix.lower()](path)
        if found is None or (found.info is not None and not takes(found.info)):
            continue
        info = found.info or RuleInfo(path)
        if found.error is not None:
            yield Unusable(info, found.error, known=found.info is not None)
            continue
        planned = _planned(info, found.first_line, found.limits)
        if isinstance(planned, Unusable):
            yield planned
        else:
            ready.append((info, planned))
    pack = Pack(tuple(planned for _, planned in ready))
    yield from (_loaded(info, pack, number) for number, (info, _) in enumerate(ready))


def of_text(text: str, info: RuleInfo) -> Loaded | Unusable:
    """A query that was typed."""
    info = replace(info, text=text)
    planned = _planned(info)
    return planned if isinstance(planned, Unusable) else _loaded(info, Pack((planned,)), 0)


def _planned(info: RuleInfo, first_line: int = 1, limits: tuple[str, ...] = ()) -> Plan | Unusable:
    try:
        made = plan.compile(_parsed(info.text, first_line), ecs)
    except RuleError as error:
        return Unusable(info, error, known=True)
    return replace(made, limits=(*made.limits, *limits))


def _parsed(text: str, first_line: int) -> Query:
    """`first_line`: of the query in its file, so that what is wrong is found there."""
    return parse("\n" * (first_line - 1) + text)


def _loaded(info: RuleInfo, pack: Pack, number: int) -> Loaded:
    own = pack.plans[number]
    groups = [plan.needs(step, pack.catalogue) for step in own.steps]
    until = plan.needs(own.until, pack.catalogue) if own.until else ()
    hunt = hunt_of(
        info,
        partial(pack.find, number),
        needs=[group[0] for group in groups if len(group) == 1],
        any_of=[group for group in groups if len(group) > 1],
        reads=(*until, *plan.also(own, pack.catalogue)),
        helps=_helps(own),
        limits=own.limits,
        across_hosts=own.across_hosts,
    )
    return Loaded(info, hunt, partial(lines, own))


def _helps(own: Plan) -> tuple[Help, ...]:
    read = {name for step in own.every for reading in step.readings for name in reading.fields}
    return tuple(help_ for prefix, helps in _HELPS if any(name.startswith(prefix) for name in read) for help_ in helps)

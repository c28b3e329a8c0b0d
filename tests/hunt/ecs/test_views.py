"""Fields as columns: types, order, absence, whose they are; what describe promises, view keeps."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from hunt import ecs, schema
from hunt.ecs.sysmon_events import COLUMNS
from hunt.events import Events
from hunt.model import SYSMON, Batch, EventType, Need, Reading
from parsers.evtx import PARSER
from tests.helpers import batch, event, evidence, gather, moment
from tests.hunt.ecs.built import EVENTS, A, shown, sysmon, whole

START = EventType(SYSMON, 1)
LOGON = EventType("Security", 4624)


@pytest.fixture(scope="module")
def everything() -> Events:
    """The events of all sample logs, of all that is mapped."""
    needs: set[Need] = set()
    for kind in ecs.event_types():
        infos = [info for name in ecs.names(kind) if (info := ecs.describe(kind, name))]
        needs.add(Need(*kind, frozenset(column for info in infos for column in info.columns)))
        needs.update(need for info in infos for need in info.also)
    events = Events(needs)
    logs = sorted((Path(__file__).parents[3] / "samples" / "logs").glob("*.evtx"))
    for kind, frame in gather(PARSER, [evidence(log) for log in logs], Reading(events.wants())).frames.items():
        events.add(Batch({kind: frame}, schema.census([frame])))
    return events


def test_every_sample_event_is_seen_in_its_place_with_the_types_that_are_promised(everything: Events) -> None:
    met = 0
    for kind in everything.types():
        names = ecs.names(kind)
        frame, view = everything.frame(*kind).collect(), ecs.view(everything, kind, names).collect()
        core = [c for c in (*schema.CORE, "sources") if c in frame.columns]
        assert view.select(core).equals(frame.select(core), null_equal=True)
        assert view.columns == [*core, *names]
        infos = {name: info for name in names if (info := ecs.describe(kind, name))}
        assert {name: view.schema[name] for name in names} == {name: info.dtype for name, info in infos.items()}
        texts = [name for name, info in infos.items() if info.type in ("text", "ip") and not info.many]
        assert not view.select(pl.any_horizontal(pl.col(texts).is_in(["", "-", schema.NULL_GUID]).any())).item()
        for name, info in infos.items():
            if info.constant is not None:
                values = list(info.constant) if info.many else info.constant[0]
                assert view[name].unique().to_list() == [values] * bool(view.height), (kind, name)
        met += view.height
    assert met > 300


def test_a_view_of_some_rows_is_that_part_of_the_whole(everything: Events) -> None:
    names = ecs.names(START)
    some = everything.frame(*START).filter(pl.col("ParentImage").str.ends_with("explorer.exe"))
    part = ecs.over(everything, START, some, names).collect()
    view = ecs.view(everything, START, names).collect()
    place = view.join(part.select("source", "offset"), on=["source", "offset"], how="semi", maintain_order="left")
    assert 0 < part.height < view.height
    assert part.equals(place, null_equal=True)


def test_fields_keep_their_type_in_all_event_types() -> None:
    met: dict[tuple[str, bool], set[pl.DataType]] = {}
    for kind in ecs.event_types():
        for name in ecs.names(kind):
            info = ecs.describe(kind, name)
            assert info
            met.setdefault((name, info.many), set()).add(info.dtype)
    assert {name: types for name, types in met.items() if len(types) > 1} == {}


def test_processes_of_two_hosts_with_the_same_guid_are_two() -> None:
    case = whole(sysmon(1, host="A"), sysmon(1, host="B"), sysmon(5, host="a"))
    starts = shown(case, START, "process.entity_id")["process.entity_id"]
    ends = shown(case, EventType(SYSMON, 5), "process.entity_id")["process.entity_id"]
    assert starts.to_list() == [f"a/{A}", f"b/{A}"]
    assert ends.to_list() == [f"a/{A}"]


def test_an_event_type_that_nobody_met_has_an_empty_view_of_the_promised_types() -> None:
    case = whole(sysmon(1), kinds=(LOGON,))
    view = shown(case, LOGON)
    assert view.height == 0
    assert all(info and info.dtype == view.schema[n] for n in ecs.names(LOGON) for info in [ecs.describe(LOGON, n)])


def test_fields_that_no_column_was_decoded_for_are_absent() -> None:
    case = Events([Need(SYSMON, 11, frozenset())])
    case.add(batch(event(11, UtcTime=moment(1))))
    assert shown(case, EventType(SYSMON, 11), "file.path", "process.pid").row(0) == (None, None)


def test_numbers_that_stand_as_text_for_lack_of_a_provider_are_read() -> None:
    row = sysmon(1, ProcessId="0x10", provider=None) | {"provider": None}
    assert shown(whole(row), START, "process.pid", "winlog.event_data.LogonId").row(0) == (16, "0x53ca2")


def test_names_are_exact_and_unknown_ones_are_nobodys() -> None:
    for name in ("Process.Name", "process", "process.nam", "winlog.event_data.image", "winlog.event_data.Nothing", ""):
        assert ecs.describe(START, name) is None
    assert ecs.describe(EventType("Elsewhere", 1), "process.name") is None
    assert ecs.describe(EventType(SYSMON, 99), "event.code") is None
    assert ecs.describe(EventType("SECURITY", 4624), "user.name") == ecs.describe(LOGON, "user.name")
    with pytest.raises(KeyError, match=r"process\.nam is no field of event 1 of"):
        ecs.view(whole(sysmon(1)), START, ["process.nam"])


def test_columns_that_are_named_are_those_of_the_frames() -> None:
    """Every column that a field of Sysmon's says it is made of is one of that event, or of the System element."""
    for event_id in EVENTS:
        kind = EventType(SYSMON, event_id)
        for name in ecs.names(kind):
            info = ecs.describe(kind, name)
            assert info
            others = info.columns - COLUMNS[event_id] - set(schema.SYSTEM)
            assert others <= {"RenderingInfo.Message"}, (event_id, name)

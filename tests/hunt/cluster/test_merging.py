"""What is gathered of each lot, put together, is what reading everything at once gathers; however it was cut."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import registry
from hunt.cluster import lots, tasks
from hunt.cluster.held import parts_of
from hunt.cluster.lots import Lot, cut, named
from hunt.cluster.reads import Lots
from hunt.cluster.tasks import Facts, How, Order, Read
from hunt.cluster.versions import here
from hunt.cluster.waiting import Watch
from hunt.coverage import Seen
from hunt.coverage.seen import _KEPT
from hunt.events import Events
from hunt.interrupts import Stop
from hunt.model import SYSMON, Batch, EventType, Evidence, Need, Piece, Reading, Settings, Wants
from hunt.shares import Agreed, Share
from parsers import jsonl
from parsers.evtx import PARSER
from samples.evtx_writer import sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, batch, event, evidence, guid, moment, start
from tests.hunt.cluster.workers import some
from tests.parsers.logs import START

STARTS = Need(SYSMON, 1, frozenset({"Image", "Hashes", "Company"}))
WANTS = Wants({STARTS.event_type.key: STARTS.columns, ("security", 4688): frozenset({"CommandLine"})})


def told() -> list[Batch]:
    """Batches with something of all that coverage keeps."""
    met = []
    for n in range(6):
        host = ("WS01", "ws01", "WS02")[n % 3]
        met.append(
            batch(
                start(OUTLOOK, n, host=host, logged=moment(n + 3600 * (n % 2)), source=f"{n % 2}.evtx"),
                start(r"C:\a.exe", n, host=host, Hashes="SHA256=AA" if n == 4 else None),
                event(5, n, host=host, Image=OUTLOOK, ProcessGuid=guid(n, n), ProcessId="7"),
                event(4, n, host=host, State="Stopped", Version="15", SchemaVersion="4.9"),
                event(4688, n, channel="Security", host=host, NewProcessName=OUTLOOK, NewProcessId="0x10"),
                event(104, n, channel="System", host=host, Channel="Application" if n % 2 else None),
            )
        )
    return met


def seen(batches: Sequence[Batch]) -> Seen:
    made = Seen(WANTS)
    for part in batches:
        made.add(part)
    return made


@given(st.lists(st.integers(0, 6), max_size=4).map(sorted))
@settings(max_examples=4)
def test_what_coverage_keeps_is_the_same_however_it_was_cut(cuts: list[int]) -> None:
    batches = told()
    whole, merged = seen(batches), Seen(WANTS)
    for begin, end in zip([0, *cuts], [*cuts, len(batches)], strict=True):
        merged.merge(pickle.loads(pickle.dumps(seen(batches[begin:end]))))
    assert whole.clocks().height and merged.clocks().sort(pl.all()).equals(whole.clocks().sort(pl.all()))
    for key in _KEPT:
        kind = EventType(*key)
        assert merged.events(*kind).equals(whole.events(*kind)), kind
        assert merged.filled(kind) == whole.filled(kind)
    for host in ("WS01", "ws02"):
        assert merged.lacking(STARTS, host) == whole.lacking(STARTS, host)
    assert (whole.lacking(STARTS, "WS02"), whole.lacking(STARTS, "WS01")) == (["Company", "Hashes"], ["Company"])


# Lots.

EVERYWHERE = frozenset({"127.0.0.1"})


def items(*sizes: int) -> list[Evidence]:
    return [Evidence(Path(f"{n}.evtx"), f"{n}.evtx", size, f"{n:064x}") for n, size in enumerate(sizes)]


def test_small_files_share_a_lot_and_large_ones_are_cut() -> None:
    lot = 4 * 65536
    made = cut([(PARSER, items(1000, 2000, 10 * 65536 + 4096, 500, lot - 400))], lambda item: EVERYWHERE, lot)
    assert [[(piece.evidence.source, piece.begin, piece.end) for piece in own.pieces] for own in made] == [
        [("0.evtx", 0, 1000), ("1.evtx", 0, 2000)],
        [("2.evtx", 0, 4096 + lot)],
        [("2.evtx", 4096 + lot, 4096 + 2 * lot)],
        [("2.evtx", 4096 + 2 * lot, 4096 + 10 * 65536)],
        [("3.evtx", 0, 500)],
        [("4.evtx", 0, lot - 400)],
    ]


def test_files_of_a_format_without_pieces_stay_whole() -> None:
    (one, other) = cut([(jsonl.PARSER, items(5000, 100))], lambda item: EVERYWHERE, 1000)
    assert [(piece.begin, piece.end) for lot in (one, other) for piece in lot.pieces] == [(0, 5000), (0, 100)]


def test_files_that_different_machines_see_share_no_lot() -> None:
    sees = {"0.evtx": EVERYWHERE, "1.evtx": frozenset(), "2.evtx": EVERYWHERE}
    made = cut([(PARSER, items(10, 10, 10))], lambda item: sees[item.source], 1000)
    assert [(lot.machines, len(lot.pieces)) for lot in made] == [(EVERYWHERE, 1), (frozenset(), 1), (EVERYWHERE, 1)]


def test_a_lot_is_named_by_all_that_its_reading_depends_on() -> None:
    item = items(65536 * 9)[0]
    lot = Lot(PARSER, (Piece(item, 0, item.size),), EVERYWHERE)
    how = named(here(), Reading(), WANTS)
    base = lot.key(how)
    assert base == Lot(PARSER, lot.pieces, frozenset()).key(how)  # wherever it is read
    others = [
        lot.key(named(here()._replace(source="x"), Reading(), WANTS)),
        lot.key(named(here(), Reading(slack=True), WANTS)),
        lot.key(named(here(), Reading(WANTS), WANTS)),
        lot.key(named(here(), Reading(), Wants())),
        Lot(PARSER, (Piece(item, 0, 65536 + 4096),), EVERYWHERE).key(how),
        Lot(jsonl.PARSER, lot.pieces, EVERYWHERE).key(how),
    ]
    assert len({base, *others}) == 7


@pytest.mark.parametrize(
    ("total", "running", "size"), [(0, 2, lots.SMALLEST), (8 << 30, 2, lots.LARGEST), (1 << 30, 2, 64 << 20)]
)
def test_there_are_lots_for_all_and_none_is_too_large(total: int, running: int, size: int) -> None:
    assert lots.size_of_lots(total, running) == size


# Tasks.


FEW = Wants({(SYSMON.lower(), event_id): frozenset({"Image"}) for event_id in (1, 3)})
HOW = How(Reading(FEW), FEW, here())


def order(path: Path, tokens: tuple[tuple[str, str], ...] = (), seconds: float = 60.0) -> Order:
    item = evidence(path)
    return Order(Lot(PARSER, (Piece(item, 0, item.size),), EVERYWHERE), tokens, seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    started = sysmon_process(Image=OUTLOOK, time=START, host="WS01")
    return write_log(tmp_path / "log.evtx", [started, sysmon_event(3, time=START, host="WS02")])


def test_a_task_gives_the_same_each_time(path: Path) -> None:
    one, other = (tasks.read(*cloudpickle.loads(cloudpickle.dumps((order(path), HOW)))) for _ in range(2))
    assert one.frames == other.frames and len(one.frames) == 2
    assert set(one.facts.hosts) == {"ws01", "ws02"} and one.facts.read == {"log.evtx": path.stat().st_size}


def test_a_worker_of_another_version_reads_nothing(path: Path) -> None:
    found = tasks.read(order(path), replace(HOW, versions=here()._replace(polars="0.1")))
    assert found.frames == () and "polars" in found.facts.trouble


def test_a_file_that_is_another_one_there_is_not_read(path: Path) -> None:
    assert tasks.read(order(path, ((str(path), "other"),)), HOW).facts.trouble == "it is another file on a worker"


def test_what_takes_too_long_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()
    monkeypatch.setattr(tasks, "gathered", lambda *rest: forever.wait(10))
    assert "too long" in tasks.read(order(path, seconds=0.05), HOW).facts.trouble
    forever.set()


@pytest.mark.parametrize(("hosts", "rows", "most"), [(1, 50, 1), (16, 50, 16), (17, 50, 1), (40, 3000, 4)])
def test_packets_of_a_frame_hold_each_event_of_their_hosts_once(hosts: int, rows: int, most: int) -> None:
    events = batch(*(start(OUTLOOK, n, host=f"WS{n % hosts:02}", source="a.evtx", offset=str(n)) for n in range(rows)))
    (frame,) = events.frames.values()
    done = tasks.gathered([events], FEW)
    assert len(done.frames) == most
    assert all(set(tasks.unpacked(p.content)["host"].str.to_lowercase()) == p.hosts for p in done.frames)
    assert len({host for packet in done.frames for host in packet.hosts}) == hosts
    together = pl.concat(tasks.unpacked(packet.content) for packet in done.frames).sort("offset")
    assert together.equals(frame.sort("offset").select(together.columns))


def test_what_is_picked_for_a_hunt_keeps_what_tells_two_events_apart() -> None:
    done = tasks.gathered([batch(start(OUTLOOK, Hashes="SHA256=AA"))], WANTS)
    few = Wants({STARTS.event_type.key: frozenset({"Image"}), ("security", 4688): frozenset()})
    (picked,) = tasks.picked_of(done, Share(), few, here(), 1)
    assert tasks.unpacked(picked.content).equals(tasks.unpacked(done.frames[0].content))
    assert tasks.picked_of(done, Share(), Wants({("security", 4688): frozenset()}), here(), 1) == ()


def loaded(signed: str) -> Agreed:
    agreed = Agreed()
    agreed.add(
        batch(event(7, Hashes=f"SHA256={'A' * 64}", Signed=signed, SignatureStatus="Valid", Signature="Contoso"))
    )
    return agreed


def name_of(agreed: Agreed, host: str = "WS01") -> str:
    """Of the only part of a run that has read nothing of interest."""
    events = Events(())
    events.add(Batch({}, batch(start(OUTLOOK, host=host, record_id="1", record_number="1")).census))
    asked: Any = SimpleNamespace(needs=(), settings=Settings(), stop=Stop())
    held = parts_of(Watch(some(1, 8 << 30)), Lots([], [], {}, [], [], None, pytest.fail), asked, events, agreed)
    return held.parts[0].name


def test_a_part_is_named_by_all_that_hunts_on_it_depend_on() -> None:
    names = [name_of(Agreed()), name_of(loaded("true")), name_of(loaded("false")), name_of(Agreed(), "WS02")]
    assert len({*names}) == 4
    assert name_of(loaded("true")) == name_of(loaded("true"))


def test_events_are_picked_before_any_worker_is_busy_with_a_part() -> None:
    """Else a worker that has nothing more to do waits for what another one will pick after its own part."""
    order: dict[Any, int] = {}
    workers: Any = some(2, 8 << 30)
    workers.client = SimpleNamespace(submit=lambda task, *_, key, priority=0: order.update({task: priority}))
    hosts = {f"ws{number}": 10 for number in range(8)}
    asked: Any = SimpleNamespace(needs=(), settings=Settings(), stop=Stop())
    read: Any = SimpleNamespace(key="read-1", status="finished")
    held = parts_of(
        Watch(workers), Lots([read], [hosts], {}, [1], [None], None, pytest.fail), asked, Events(()), Agreed()
    )
    held._work(held.parts[1], b"", "work-1")
    assert order[tasks.picked_of] > order[tasks.work_on]


def test_what_gives_fewer_records_when_a_worker_reads_it_again_is_not_hunted_in(path: Path) -> None:
    done = tasks.read(order(path), HOW)
    part = tasks.Part("name", 1, (), Settings(), Share(), done.facts.census, here())
    work = cloudpickle.dumps(lambda events: events.hosts())
    assert tasks.work_on(work, part, Agreed(), 1 << 30, [done], [2]) == ("WS01", "WS02")
    with pytest.raises(tasks.LostError, match="2 of 3 records"):
        tasks.work_on(work, part, Agreed(), 1 << 30, [done], [3])
    with pytest.raises(tasks.LostError, match="2 of 3 records"):
        tasks.picked_of(done, Share(), None, here(), 3)


@pytest.mark.parametrize(("theirs", "ours", "expected"), [(10, 10, False), (3, 10, True), (3, 0.5, False)])
def test_a_part_is_for_this_process_alone_where_it_would_end_workers_and_has_room_here(
    theirs: float, ours: float, expected: bool
) -> None:
    size = 1 << 30
    room: Any = SimpleNamespace(whole=ours * size)
    asked: Any = SimpleNamespace(needs=(), settings=Settings(), stop=Stop(), room=room)
    read: Any = SimpleNamespace(key="read-1", status="finished")
    lots = Lots([read], [{"ws01": size}], {}, [1], [None], None, pytest.fail)
    made = parts_of(Watch(some(1, int(theirs * size))), lots, asked, Events(()), Agreed())
    assert [part.size for part in made._only_here().values()] == [size] * expected


def test_what_was_lost_and_cannot_be_read_again_is_no_part_without_events(path: Path) -> None:
    lost = Read(Facts("it is another file on a worker"))
    with pytest.raises(tasks.LostError):
        tasks.picked_of(lost, tasks.Share(), None, here(), 0)


def test_all_queries_of_ours_can_be_sent() -> None:
    hunts = [query.hunt for query in registry.queries()]
    there = cloudpickle.loads(cloudpickle.dumps(hunts))
    assert [hunt.id for hunt in there] == [hunt.id for hunt in hunts]

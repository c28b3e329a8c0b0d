"""Manifests: what is written is read again; what is foreign, later, damaged or made to mislead is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hunt.model import EventType, Problem
from hunt.store import folders, layout, manifests
from hunt.store.layout import Alias, Case, File, Item, Lot, Opened, Pending
from hunt.store.manifests import CaseError
from tests.hunt.store.ingesting import load

LOT = "0123456789abcdef"
PATH = layout.data_path(EventType("Security", 4688), 3, LOT, 0)


def item(source: str = "a.evtx", part: tuple[int, int] | None = None, **counts: int) -> Item:
    told = {"found": 3, "read": 2, "problems": 1} | counts
    return Item(source, "a.evtx", 10, "f" * 64, "2026-03-02T08:15:00+00:00", "evtx", **told, part=part)


def write(place: Path, *told: Lot, pending: tuple[Pending, ...] = ()) -> Case:
    import hashlib

    folder = folders.Local(place)
    hashes = {}
    for lot in told:
        content = manifests.lot_json(lot)
        folder.write(layout.lot_path(lot.id), content)
        hashes[lot.id] = hashlib.sha256(content).hexdigest()
    case = Case(told, pending, hashes=hashes)
    folder.write(layout.CASE, manifests.case_json(case))
    return case


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    problem = Problem("a.evtx", "record", "r\ud800\n", "Security", 2**63, 2**64 - 1, 7)
    lot = Lot(
        LOT, True, (item(part=(0, 5)), item("b")), (File(PATH, "Security", 4688, 3, 5, 6, 7, "e" * 64, 1),), (problem,),
        (Alias("c", "c", 10, "f" * 64, None, "a.evtx"),), (Opened("z.zip", "z.zip", 1, "d" * 64, None),), ("x",),
        (Problem("z.zip", "file", "torn"),), "c" * 64,
    )  # fmt: skip
    case = write(tmp_path, lot, pending=(Pending("p", "p", 1, "b" * 64),))
    assert load(tmp_path) == case


def test_a_log_read_in_parts_is_one(tmp_path: Path) -> None:
    lots = [Lot(f"{n:016x}", False, (item(part=(n, n + 1)),), census="x") for n in range(3)]
    (whole,) = write(tmp_path, *lots).items()
    assert (whole.found, whole.read, whole.problems, whole.part) == (9, 6, 3, None)


def test_what_was_met_the_last_time_counts_of_a_container() -> None:
    first = (
        Problem("z.zip!a", "file", "encrypted"),
        Problem("z.zipped", "file", "other"),
        Problem("b", "file", "torn"),
    )
    opened = (Opened("z.zip", "z.zip", 1, "d" * 64, None),)
    lots = (Lot("1", False, collecting=first, containers=opened), Lot("2", False, containers=opened))
    assert Case(lots[:1]).collecting() == first
    assert Case(lots).collecting() == first[1:]


# What can't be read.


def refused(place: Path) -> str:
    with pytest.raises(CaseError) as error:
        load(place)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(place))


def test_what_is_no_case_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path) == ": is no case: it has no case.json"
    assert refused(tmp_path / "nowhere") == ": is no case: it has no case.json"
    for content in ("{", "[]", "\xff\xff", "[" * 100_000):
        (tmp_path / "case.json").write_text(content)
        assert ": is damaged: case.json: is no JSON" in refused(tmp_path)
    (tmp_path / "case.json").write_text('{"format": "Case/UCO", "schema": 1}')
    assert refused(tmp_path) == ": case.json is of another program, not a case of evtx-hunt"


def test_a_case_of_a_later_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    told = json.loads((tmp_path / "case.json").read_text())
    (tmp_path / "case.json").write_text(json.dumps(told | {"schema": 2, "tool": "9.9", "lots": "what is this"}))
    assert refused(tmp_path) == ": was written by a later version (9.9): schema 2, this one reads 1; update evtx-hunt"


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("lots"),
        lambda told: told.update(lots={}),
        lambda told: told.update(lots=[{"lot": "../../etc", "sha256": ""}]),
        lambda told: told.update(lots=[{"lot": LOT}]),
        lambda told: told.update(buckets=0),
        lambda told: told.update(buckets=True),
        lambda told: told.update(schema="1"),
        lambda told: told.update(pending=[{"source": 5}]),
    ],
)
def test_a_damaged_case_is_refused(change: Change, tmp_path: Path) -> None:
    write(tmp_path, Lot(LOT, False, (item(),)))
    told = json.loads((tmp_path / "case.json").read_text())
    change(told)
    (tmp_path / "case.json").write_text(json.dumps(told))
    assert refused(tmp_path).startswith(": is damaged: case.json: ")


def test_a_lot_that_is_missing_or_another_one_is_told(tmp_path: Path) -> None:
    write(tmp_path, Lot(LOT, False, (item(),)))
    path = tmp_path / layout.lot_path(LOT)
    path.write_text(path.read_text().replace('"read": 2', '"read": 3'))
    assert refused(tmp_path) == f": is damaged: lots/{LOT}/lot.json: is not the one that case.json names"
    path.unlink()
    assert refused(tmp_path) == f": is damaged: lots/{LOT}/lot.json is missing"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "events/../../x.parquet", f"../{PATH}", PATH + "/..", PATH.replace("=", "/"), ""]
)
def test_a_manifest_leads_nowhere_else(path: str, tmp_path: Path) -> None:
    write(tmp_path, Lot(LOT, False, (item(),), (File(path, "Security", 1, 0, 1, 1, 1, ""),)))
    assert "is no path of events" in refused(tmp_path)


@pytest.mark.parametrize("modified", ["yesterday", ""])
def test_times_that_are_none_are_damage(modified: str, tmp_path: Path) -> None:
    write(tmp_path, Lot(LOT, False, containers=(Opened("z", "z", 1, "d", modified),)))
    assert refused(tmp_path).startswith(f": is damaged: lots/{LOT}/lot.json: ")

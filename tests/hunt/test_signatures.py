"""Signed or not, new or old: three answers each, and unknown is neither; against loops that follow the words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunt import processes, signatures
from hunt.events import Events
from hunt.model import SYSMON, Need
from tests.helpers import Row, batch, event, guid, moment, start

IMAGE = r"C:\Users\alice\Downloads\tool.exe"
SHA256 = "SHA256=" + "AB" * 32


def known(*rows: Row) -> list[dict[str, Any]]:
    """What is known of each process that started, by time."""
    events = Events([*signatures.COUNTED, Need(SYSMON, 1, frozenset({"User"}))])
    events.add(batch(*rows))
    starts = events.frame(SYSMON, 1).select(
        "host",
        pl.col("ProcessGuid").alias("guid"),
        pl.col("Image").alias("image"),
        pl.col("time").alias("start"),
        processes.sha256("Hashes").alias("sha256"),
    )
    told, few = (signatures.known(events, starts, few).sort("start", "guid").collect() for few in (False, True))
    assert told.equals(few)
    return told.to_dicts()


def load(of: Row, signed: str | None, status: str | None, image: str | None = None, **columns: Any) -> Row:
    """Sysmon 7: the process loads a file, its own by default."""
    own = {"ProcessGuid": of["ProcessGuid"], "Image": of["Image"], "ImageLoaded": image or of["Image"]}
    return event(7, 0, **{**own, "Signed": signed, "Signature": "Contoso", "SignatureStatus": status, **columns})


def made(at: float, path: str = IMAGE, event_id: int = 11, **columns: Any) -> Row:
    return event(event_id, at, UtcTime=moment(at), TargetFilename=path, **columns)


@pytest.mark.parametrize(
    ("signed", "status", "signature"),
    [
        ("true", "Valid", "valid"),
        ("TRUE", "valid", "valid"),
        ("true", "Expired", "invalid"),
        ("true", "Revoked", "invalid"),
        ("false", "Unavailable", "unsigned"),
        ("true", "Unavailable", "unknown"),
        ("true", "?", "unknown"),
        ("false", "?", "unknown"),
        ("false", "Valid", "unknown"),
        ("-", "-", "unknown"),
        ("", "", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_a_signature_is_what_sysmon_said_when_the_image_was_loaded(
    signed: str | None, status: str | None, signature: str
) -> None:
    tool = start(IMAGE)
    (row,) = known(tool, load(tool, signed, status))
    assert row["signature"] == signature
    assert (row["signer"] == "Contoso") == (signature != "unknown")


def test_without_an_image_load_the_signature_is_unknown() -> None:
    (row,) = known(start(IMAGE))
    assert (row["signature"], row["signer"], row["file_age_s"]) == ("unknown", None, None)
    assert row["unsigned_and_new"] is None


def test_the_signature_of_a_dll_is_not_that_of_the_image() -> None:
    tool = start(IMAGE)
    (row,) = known(tool, load(tool, "false", "Unavailable", r"C:\Users\alice\Downloads\evil.dll"))
    assert row["signature"] == "unknown"


def test_an_image_load_of_another_process_or_host_does_not_count() -> None:
    tool, other = start(IMAGE), start(IMAGE, 1, host="WS02")
    assert [row["signature"] for row in known(tool, other, load(tool, "true", "Valid", host="WS03"))] == ["unknown"] * 2


def test_the_same_content_in_another_process_tells_the_signature() -> None:
    tool = start(IMAGE, Hashes=f"MD5=00,{SHA256}")
    other = start(r"C:\other.exe", 5, host="WS02")
    rows = known(tool, load(other, "false", "Unavailable", r"D:\copy.bin", Hashes=SHA256.lower(), host="WS02"))
    assert [row["signature"] for row in rows] == ["unsigned"]


def test_a_signature_that_was_verified_once_is_there_whatever_the_order() -> None:
    tool = start(IMAGE)
    loads = [load(tool, "false", "Unavailable"), load(tool, "true", "Valid"), load(tool, "true", "Expired")]
    assert {known(tool, *order)[0]["signature"] for order in (loads, loads[::-1])} == {"valid"}


@pytest.mark.parametrize(
    ("image", "path"),
    [
        (IMAGE, IMAGE.upper()),
        (IMAGE, rf"\\?\{IMAGE}"),
        (IMAGE, rf"\??\{IMAGE}"),
        (IMAGE.replace("\\", "/"), IMAGE),
        (r"\\srv\share\tool.exe", r"\\?\UNC\srv\share\tool.exe"),
    ],
)
def test_paths_are_compared_as_windows_does(image: str, path: str) -> None:
    (row,) = known(start(image, 100), made(90, path))
    assert row["file_age_s"] == 10.0


@pytest.mark.parametrize(
    "path", [r"D:\Users\alice\Downloads\tool.exe", r"C:\Users\alice\Downloads\tool.exe.bak", "tool.exe"]
)
def test_another_path_tells_no_age(path: str) -> None:
    (row,) = known(start(IMAGE, 100), made(90, path))
    assert row["file_age_s"] is None


@pytest.mark.parametrize("event_id", [11, 15, 29])
def test_an_age_counts_from_the_last_time_the_file_was_made_before_the_start(event_id: int) -> None:
    rows = [made(at, event_id=event_id) for at in (10, 95, 101)]
    (row,) = known(start(IMAGE, 100), *rows)
    assert row["file_age_s"] == 5.0


def test_a_stream_has_the_name_of_its_file_and_counts_where_nothing_else_is_known() -> None:
    marked = made(90, IMAGE + ":Zone.Identifier", event_id=15)
    assert known(start(IMAGE, 100), marked)[0]["file_age_s"] == 10.0
    assert known(start(IMAGE, 100), marked, made(40))[0]["file_age_s"] == 60.0


def test_a_file_that_was_made_on_another_host_tells_no_age() -> None:
    assert known(start(IMAGE, 100), made(90, host="WS02"))[0]["file_age_s"] is None
    assert known(start(IMAGE, 100, host="ws01"), made(90))[0]["file_age_s"] == 10.0


def test_a_creation_time_that_was_set_back_does_not_make_a_file_old() -> None:
    (row,) = known(start(IMAGE, 100), made(90, CreationUtcTime="2019-01-01 00:00:00.000"))
    assert row["file_age_s"] == 10.0


def test_a_changed_creation_time_is_noted_and_tells_no_age() -> None:
    (row,) = known(start(IMAGE, 100), made(90, event_id=2))
    assert (row["timestomped"], row["file_age_s"]) == (True, None)
    assert known(start(IMAGE, 100), made(90, r"C:\other.exe", event_id=2))[0]["timestomped"] is False


@pytest.mark.parametrize(
    ("signed", "age", "answer"),
    [
        (("false", "Unavailable"), "0", True),
        (("false", "Unavailable"), "500", True),
        (("false", "Unavailable"), "500.000000001", False),
        (("true", "Expired"), "12", True),
        (("true", "Valid"), "12", False),
        (("true", "Valid"), None, False),  # whatever its age
        (None, "600", False),  # whatever its signature
        (None, "12", None),
        (("false", "Unavailable"), None, None),
        (None, None, None),
    ],
)
def test_unsigned_and_new_is_unknown_unless_both_are_known_or_one_is_false(
    signed: tuple[str, str] | None, age: str | None, answer: bool | None
) -> None:
    tool = start(IMAGE, 1000)
    rows = [load(tool, *signed)] if signed else []
    rows += [made(0) | {"UtcTime": moment(1000 - Decimal(age))}] if age else []
    (row,) = known(tool, *rows)
    assert row["unsigned_and_new"] is answer


def test_what_could_not_be_told_is_counted_by_host() -> None:
    tool, signed = start(IMAGE), start(r"C:\signed.exe", 1)
    events = Events(signatures.COUNTED)
    events.add(batch(tool, signed, load(signed, "true", "Valid"), start(IMAGE, 5, host="B"), start(IMAGE, 6, host="b")))
    assert signatures.unknown(events).collect().rows() == [("B", 2, 2), ("WS01", 1, 2)]


# Once more, as loops over a few files and processes.

_PATHS = (r"C:\a.exe", r"c:\A.EXE", r"C:\b.exe")
_BEST = ("valid", "invalid", "unsigned")
_JUDGED = {
    "valid": ("true", "Valid"),
    "invalid": ("true", "Revoked"),
    "unsigned": ("false", "Unavailable"),
    "?": ("?", "?"),
}
_LOADS = st.tuples(st.integers(0, 3), st.sampled_from(_PATHS), st.sampled_from(list(_JUDGED)))
_MADE = st.tuples(st.sampled_from([11, 15, 29]), st.sampled_from(_PATHS), st.integers(0, 1200))
_STARTS = st.lists(st.tuples(st.sampled_from(_PATHS), st.integers(0, 1200)), min_size=1, max_size=3)


def _by_loops(starts: list[tuple[str, int]], loads: Any, files: Any) -> list[tuple[str, float | None, bool | None]]:
    told = []
    for number, (path, at) in enumerate(starts):
        judged = [j for n, loaded, j in loads if n == number and loaded.lower() == path.lower() and j != "?"]
        signature = min(judged, key=_BEST.index, default="unknown")
        ages = {
            kind: [at - t for k, p, t in files if k == kind and p.lower() == path.lower() and t <= at]
            for kind in (11, 15, 29)
        }
        age = min(ages[11] + ages[29], default=None)
        age = min(ages[15], default=None) if age is None else age
        bad = None if signature == "unknown" else signature != "valid"
        new = None if age is None else age <= 500
        both = False if bad is False or new is False else None if bad is None or new is None else True
        told.append((signature, None if age is None else float(age), both))
    return told


@settings(max_examples=40)
@given(_STARTS, st.lists(_LOADS, max_size=5), st.lists(_MADE, max_size=5))
def test_files_are_judged_as_loops_judge_them(starts: Any, loads: Any, files: Any) -> None:
    began = [start(path, at, ProcessGuid=guid(n, at)) for n, (path, at) in enumerate(starts)]
    rows = [load(began[n], *_JUDGED[j], path) for n, path, j in loads if n < len(began)]
    found = {row["guid"]: row for row in known(*began, *rows, *(made(at, path, kind) for kind, path, at in files))}
    told = [found[row["ProcessGuid"]] for row in began]
    assert [(r["signature"], r["file_age_s"], r["unsigned_and_new"]) for r in told] == _by_loops(starts, loads, files)

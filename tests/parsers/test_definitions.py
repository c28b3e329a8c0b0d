"""Template definitions by their ids: known from whole chunks, and not believed where they differ."""

from __future__ import annotations

import struct

import pytest

from parsers import definitions, orphans
from parsers.definitions import Definitions
from samples.evtx_writer import log_bytes
from tests.parsers.logs import event, good, summed
from tests.parsers.raw_data import chunks, record

LOG = log_bytes([event(data=[("A", "x")]), event(data=[("A", "y")])])
(CHUNK,) = chunks(LOG)
ID = record(LOG, 2)[30:34]


def renamed(chunk: bytes, name: str) -> bytes:
    content = bytes(4096) + chunk.replace("WS01".encode("utf-16-le"), name.encode("utf-16-le"))
    return chunks(summed(content))[0]


def test_a_record_is_read_by_the_definition_of_its_chunk() -> None:
    known = Definitions()
    known.add(CHUNK, "disk")
    row = orphans.row(record(LOG, 2), known, "disk")
    assert (row["host"], row["A"], row["record_number"]) == ("WS01", "y", 2)


def test_what_is_nowhere_defined_is_said() -> None:
    with pytest.raises(ValueError, match=r"template not found: id [0-9a-f]{8}$"):
        Definitions().find(ID, "disk")


def test_the_same_evidence_goes_before_others_and_others_must_agree() -> None:
    known = Definitions()
    known.add(CHUNK, "one")
    known.add(renamed(CHUNK, "WS02"), "two")
    single = record(LOG, 2)
    assert [orphans.row(single, known, source)["host"] for source in ("one", "two")] == ["WS01", "WS02"]
    with pytest.raises(ValueError, match="defined in several ways"):
        orphans.row(single, known, "three")
    known.add(CHUNK, "two")
    with pytest.raises(ValueError, match="defined in several ways"):
        orphans.row(single, known, "two")
    assert orphans.row(single, known, "one")["host"] == "WS01"


def test_names_that_stand_elsewhere_in_the_chunk_are_part_of_a_definition() -> None:
    """The same bytes at the same place of two chunks may refer to different names: the second is parsed anew."""
    log = log_bytes(
        [event(data=[("A", "x")]), event(data=[("A", "x"), ("B", "y")]), event(data=[("A", "1"), ("B", "2")])]
    )
    (chunk,) = chunks(log)
    (other,) = chunks(summed(bytes(4096) + chunk.replace("System".encode("utf-16-le"), "Zystem".encode("utf-16-le"))))
    known = Definitions()
    known.add(chunk, "one")
    known.add(other, "one")
    with pytest.raises(ValueError, match="defined in several ways"):
        orphans.row(record(log, 3), known, "one")


def test_chains_of_definitions_that_loop_or_lead_astray_end() -> None:
    looping = bytearray(CHUNK)
    for first in struct.unpack_from("<32I", CHUNK, 384):
        if first:
            struct.pack_into("<I", looping, first, first)
    known = Definitions()
    known.add(bytes(looping), "disk")
    assert orphans.row(record(LOG, 2), known, "disk")["A"] == "y"
    for offset in (1, 511, 65_530, 0xFFFFFFFF):
        struct.pack_into("<32I", looping, 384, *[offset] * 32)
        Definitions().add(bytes(looping), "disk")


def test_no_more_definitions_are_kept_than_real_evidence_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_KEPT", 0)
    known = Definitions()
    known.add(CHUNK, "disk")
    with pytest.raises(ValueError, match="more are defined than are kept"):
        known.find(ID, "disk")


def test_where_a_record_stood_is_told_by_what_it_defines() -> None:
    assert orphans.base(record(LOG, 1)) == 512
    assert orphans.base(record(LOG, 2)) is None
    assert orphans.base(record(good(), 1)[:40]) is None
    written_out = log_bytes([event(rendered=True, record_id=1, data=[("A", "x")])])
    assert orphans.base(record(written_out, 1)) == 512


def test_a_record_written_out_without_its_chunk_has_lost_its_names() -> None:
    written_out = log_bytes([event(rendered=True, record_id=1, data=[("A", "x")])])
    with pytest.raises(ValueError, match="names not found"):
        orphans.row(record(written_out, 1), Definitions(), "disk")


@pytest.mark.parametrize("size", [32, 40, 60, 70, 100])
def test_a_record_that_is_cut_is_refused(size: int) -> None:
    known = Definitions()
    known.add(CHUNK, "disk")
    for number in (1, 2):
        with pytest.raises(ValueError, match=r"."):
            orphans.row(record(LOG, number)[:size] + struct.pack("<I", size + 4), known, "disk")

"""Frames of many chunks at once are those that `records` finds one by one, or are left to it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from parsers import framing, records
from samples.evtx_writer import log_bytes, sysmon_process
from tests.parsers.logs import START, event, good, summed

pytestmark = pytest.mark.usefixtures("either_way")

HEADER = records.FileHeader(0, False, None)


def framed(content: bytes) -> tuple[list[tuple[int, int, int]], list[bool]]:
    """((offset, size, number) of each frame, which chunks hold together) of a log of whole chunks."""
    data = np.frombuffer(content[records.FILE_HEADER :], np.uint8)
    sound = framing.sound(data, [records.CHUNK] * (data.size // records.CHUNK))
    found, whole = framing.frames(data, sound)
    return list(zip(found.offset.tolist(), found.size.tolist(), found.number.tolist(), strict=True)), whole.tolist()


def one_by_one(content: bytes, whole: list[bool]) -> list[tuple[int, int, int]]:
    found = []
    for number, holds in enumerate(whole):
        raw = content[records.FILE_HEADER + number * records.CHUNK :][: records.CHUNK]
        chunk = records.chunk(number, raw, HEADER)
        if holds:
            assert chunk and chunk.damage is None and chunk.gaps == ()
            found += [(number * records.CHUNK + f.offset, f.size, f.number) for f in chunk.frames]
    return found


def test_a_good_log_is_framed_at_once() -> None:
    frames, whole = framed(good())
    assert whole == [True, True]
    assert frames == one_by_one(good(), whole)


def test_frames_of_changed_chunks_are_those_found_one_by_one_or_left_to_that() -> None:
    chance, framed_at_once = random.Random(3), 0
    for _ in range(300):
        content = bytearray(good())
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(4096, len(content) - 8)
            content[at : at + 4] = chance.choice(
                [b"\0\0\0\0", b"\x2a\x2a\0\0", b"\xff\xff\xff\xff", chance.randbytes(4)]
            )
        changed = summed(bytes(content)) if chance.random() < 0.8 else bytes(content)
        frames, whole = framed(changed)
        assert frames == one_by_one(changed, whole)
        framed_at_once += sum(whole)
    assert framed_at_once > 300  # this compares something


def test_the_magic_of_a_record_in_a_value_makes_no_record() -> None:
    texts = ["\u2a2a\0" * n + "x" * (n % 5) for n in range(1, 60)]
    content = log_bytes(
        event(data=[("A", text.replace("\0", "\u0001")), ("B", b"\x2a\x2a\0\0".hex())]) for text in texts
    )
    patched = content.replace("\u2a2a\u0001".encode("utf-16-le"), b"\x2a\x2a\0\0")
    frames, whole = framed(summed(patched))
    assert all(whole)
    assert [number for *_, number in frames] == list(range(1, 60))


def test_sizes_made_to_lead_astray_end() -> None:
    content = bytearray(good())
    for at in range(4096 + 512, 4096 + 65536, 8):
        struct.pack_into("<II", content, at, 0x2A2A, 8 * (at % 7) + 28)
    frames, whole = framed(summed(bytes(content)))
    assert frames == one_by_one(summed(bytes(content)), whole)


def test_what_the_file_does_not_hold_is_not_sound() -> None:
    data = np.frombuffer(good()[records.FILE_HEADER :], np.uint8)
    assert framing.sound(data, [records.CHUNK, records.CHUNK - 1]).tolist() == [True, False]


def test_chunks_without_checksums_are_believed() -> None:
    content = bytearray(log_bytes([sysmon_process(Image="x", time=START)]))
    content[4096 + 52 : 4096 + 56] = bytes(4)
    assert framed(bytes(content))[1] == [False]
    content[4096 + 120] |= 4
    assert framed(bytes(content))[1] == [True]


def test_rows_are_bytes_from_any_place() -> None:
    data = np.arange(100, dtype=np.uint8)
    assert framing.rows(data, np.array([0, 3, 95]), 5).tolist() == [list(range(at, at + 5)) for at in (0, 3, 95)]
    assert framing.rows(data, np.array([], np.int64), 5).shape == (0, 5)
    assert framing.rows(data, np.array([7]), 0).shape == (1, 0)

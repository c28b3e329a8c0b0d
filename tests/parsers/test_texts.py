"""Texts as string views: the same as Python decodes them, wherever they stand."""

from __future__ import annotations

import random
import uuid
import weakref

import numpy as np
import pytest

from hunt import schema
from parsers import texts
from parsers.pool import Pool
from parsers.texts import Halves, Notes


def buffer_of(*given: str, first: int = 0) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], list[int]]:
    """A chunk in which these texts stand one after the other, and where; `first`: bytes before them."""
    raw, places = bytearray(first), []
    for text in given:
        places.append(len(raw))
        raw += text.encode("utf-16-le")
    return np.frombuffer(bytes(raw).ljust(65536, b"\xee"), np.uint8), places


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("chunks", [1, 3])
def test_ascii_texts_are_views_and_all_others_are_told(first: int, chunks: int) -> None:
    chance = random.Random(first)
    given = ["x" * n for n in range(40)] + ["".join(chance.choices("ab~\0 é外", k=n)) for n in range(40)]
    given += [f"{'y' * chance.randrange(300)}{odd}{'z' * chance.randrange(300)}" for odd in ["é", "外", ""] * 20]
    data, places = buffer_of(*given, first=first)
    data = np.concatenate([np.full(65536 * (chunks - 1), 0xEE, np.uint8), data])
    at = np.array(places, np.int64) + 65536 * (chunks - 1)
    halves = Halves(data, Pool())
    views, plain, last = halves.views(at, np.array([len(text) for text in given], np.int64), 1)
    assert plain.tolist() == [text.isascii() for text in given]
    assert [n for n, text in zip(last.tolist(), given, strict=True) if text and text.isascii()] == [
        ord(text[-1]) for text in given if text and text.isascii()
    ]
    found = texts.series("t", views[plain], None, [b"", halves.buffer])
    assert found.to_list() == [text for text in given if text.isascii()]


def test_texts_at_the_very_end_of_the_data_are_read() -> None:
    data, _ = buffer_of()
    data = data.copy()
    for size in (1, 5, 12, 13, 40):
        data[-2 * size :] = np.frombuffer(("y" * size).encode("utf-16-le"), np.uint8)
        halves = Halves(data, Pool())
        views, plain, _ = halves.views(np.array([65536 - 2 * size]), np.array([size]), 1)
        assert plain.tolist() == [True]
        assert texts.series("t", views, None, [b"", halves.buffer]).to_list() == ["y" * size]


def test_notes_keep_each_text_once() -> None:
    notes = Notes()
    given = ["", "short", "é", "x" * 13, "外" * 100, "x" * 13, "\0"]
    views = notes.views(given)
    assert texts.series("t", views, None, [bytes(notes.buffer)]).to_list() == given
    assert len(notes.buffer) == 13 + 300


def test_what_is_not_valid_is_null() -> None:
    views = Notes().views(["a", "b", "c"])
    assert texts.series("t", views, np.array([True, False, True]), [b""]).to_list() == ["a", None, "c"]


def test_guids_are_texts_as_sysmon_prints_them() -> None:
    chance = random.Random(1)
    given = [uuid.UUID(int=chance.getrandbits(128)) for _ in range(5000)]
    data = np.frombuffer(b"".join(guid.bytes_le for guid in given), np.uint8)
    rows = texts.guid_texts(data.reshape(-1, 16))
    views = texts.fixed_views(rows, 0, 0)
    assert texts.series("g", views, None, [rows.ravel()]).to_list() == [f"{{{guid}}}".upper() for guid in given]


def test_byte_strings_that_differ_anywhere_are_distinct() -> None:
    chance = random.Random(2)
    given = [bytes(n) for n in (0, 1, 8, 9, 40)] + [chance.randbytes(chance.randrange(60)) for _ in range(60)]
    long = bytearray(chance.randbytes(50))
    for at in range(50):  # alike but for one byte, at any place
        changed = bytearray(long)
        changed[at] ^= 1
        given.append(bytes(changed))
    given += given
    chance.shuffle(given)
    at = np.cumsum([0, *map(len, given)])[:-1]
    data = np.frombuffer(b"".join(given) + bytes(64), np.uint8)
    size = np.array([len(raw) for raw in given], np.int64)
    firsts, which = texts.distinct(data, at.astype(np.int64), size)
    assert [given[firsts[n]] for n in which] == given
    assert len(firsts) == len(set(given))


def test_byte_strings_made_to_look_alike_are_told_apart_all_the_same() -> None:
    """Equal in size, first and last eight bytes and the middle: the fast comparison takes them for one."""
    given = [b"A" * 8 + bytes([n]) + b"B" * 50 + b"C" * 8 for n in range(5)] * 2
    data = np.frombuffer(b"".join(given) + bytes(64), np.uint8)
    size = np.full(10, len(given[0]), np.int64)
    firsts, which = texts.distinct(data, np.arange(10, dtype=np.int64) * len(given[0]), size)
    assert [given[firsts[n]] for n in which] == given
    assert len(firsts) == 5


def test_values_are_read_once_each_and_refused_ones_told() -> None:
    asked: list[bytes] = []

    def read(raw: bytes) -> str | None:
        asked.append(raw)
        return None if raw == b"no" else raw.decode()

    data = np.frombuffer(b"yesnoyesno" + bytes(16), np.uint8)
    notes = Notes()
    at, size = np.array([0, 3, 5, 8]), np.array([3, 2, 3, 2])
    views, fits = texts.converted(data, at, size, read, notes)
    assert fits.tolist() == [True, False, True, False]
    assert texts.series("t", views, fits, [b""]).to_list() == ["yes", None, "yes", None]
    assert sorted(asked) == [b"no", b"yes"]


def test_a_copy_of_a_column_with_nulls_does_not_keep_the_buffers_of_its_texts() -> None:
    notes, buffer = Notes(), np.frombuffer(b"a text of many letters, and another one", np.uint8).copy()
    views = notes.views(["in its place"])
    far = np.array([[22 | int.from_bytes(b"a te", "little") << 32, 1]], np.uint64)
    column = texts.series("t", np.concatenate([views, far]), np.array([False, True]), [b"", buffer])
    assert column.to_list() == [None, "a text of many letters"]
    kept = weakref.ref(buffer)
    copied = schema.compact(column.to_frame())
    del column, buffer
    assert kept() is None
    assert copied["t"].to_list() == [None, "a text of many letters"]

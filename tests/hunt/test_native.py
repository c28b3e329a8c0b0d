"""The compiled kernels: each tells what its twin in numpy tells, and refuses places outside its data."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunt import native
from parsers import framing, instances, records, texts, times, value_types, values
from parsers.batch import Batch, Names
from parsers.evtx import PARSER
from parsers.pool import Pool
from samples.evtx_writer import log_bytes, sysmon_event, sysmon_process
from tests.helpers import ROOT, frame_differences, gather_bytes
from tests.parsers.logs import START, good, summed

pytestmark = pytest.mark.skipif(native.kernels is None, reason="the kernels are not built here: see setup.py")

TOOL = r"C:\zoë\tool.exe"
REFUSED = r"outside|another size"
KERNELS = (
    *("instances", "describe", "take", "same", "named", "alike"),
    *("texts", "guids", "numbers", "times", "gather"),
)
Numbers = npt.NDArray[Any]
EXTREMES = (-1, 1 << 16, 0x7FFFFFFF, -0x80000000, 1 << 62, -(1 << 63))  # as places in 16 KiB of data


def placed(pieces: list[bytes], odd: bool = False) -> tuple[framing.U8, framing.I32, npt.NDArray[np.uint16]]:
    """(data, places, sizes) of some bytes one after the other, with others around them."""
    whole, at = bytearray(b"\xee" * (3 + odd)), []
    for piece in pieces:
        at.append(len(whole))
        whole += piece
    whole += b"\xee" * 5
    sizes = np.array([len(piece) for piece in pieces], np.uint16)
    return np.frombuffer(bytes(whole), np.uint8), np.array(at, np.int32), sizes


def read_texts(pieces: list[bytes], odd: bool = False) -> list[str]:
    """What the kernel makes of UTF-16."""
    data, at, size = placed(pieces, odd)
    views, buffer = np.empty((1, len(pieces), 2), np.uint64), np.empty(3 * sum(map(len, pieces)) // 2 + 7, np.uint8)
    end = native.kernels.texts(data, at[None], size[None], np.zeros(1, np.int64), views, buffer, 7, 1)
    assert 7 <= end <= buffer.size
    found: list[str] = texts.series("t", views[0], None, [b"", buffer]).to_list()
    return found


@given(st.lists(st.binary(max_size=120).map(lambda raw: raw[: len(raw) // 2 * 2]), max_size=20), st.booleans())
def test_any_bytes_are_the_text_that_they_are_one_by_one(pieces: list[bytes], odd: bool) -> None:
    """Among them unpaired surrogates, noncharacters and byte order marks."""
    expected = [str(values.text(values.STRING, raw)).encode("utf-8", "replace").decode() for raw in pieces]
    assert read_texts(pieces, odd) == expected


@given(st.lists(st.text(alphabet="ab~\0é外😀\ud800\udc00", max_size=70), max_size=20), st.booleans())
def test_texts_of_all_kinds_of_letters_are_the_same(given_texts: list[str], odd: bool) -> None:
    pieces = [text.encode("utf-16-le", "surrogatepass") for text in given_texts]
    assert read_texts(pieces, odd) == [str(values.text(values.STRING, raw)) for raw in pieces]


def test_texts_that_were_met_before_share_their_place() -> None:
    chance = random.Random(1)
    some = [f"C:\\Windows\\System32\\{'x' * n}.exe".encode("utf-16-le") for n in range(200)]
    pieces = chance.choices(some, k=3000)
    assert read_texts(pieces) == [piece.decode("utf-16-le") for piece in pieces]
    data, at, size = placed(pieces[:1] * 50)
    views, buffer = np.empty((1, 50, 2), np.uint64), np.empty(3 * len(pieces[0]), np.uint8)
    long = len(pieces[0]) * 50 * 3 // 2
    end = native.kernels.texts(data, at[None], size[None], np.zeros(1, np.int64), views, np.empty(long, np.uint8), 0, 1)
    assert end == len(pieces[0]) // 2
    assert (views == views[0, 0]).all()
    assert buffer.size < long


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=20), st.booleans())
def test_guids_are_printed_as_one_by_one(raw: list[bytes], odd: bool) -> None:
    raw = [*raw, bytes(16), raw[0], raw[0]]
    data, at, _ = placed(raw, odd)
    views, some = np.empty((1, len(raw), 2), np.uint64), np.empty((1, len(raw)), bool)
    buffer = np.empty(texts.GUID_SIZE * len(raw), np.uint8)
    native.kernels.guids(data, at[None], np.zeros(1, np.int64), views, some, buffer, 0, 1)
    assert texts.series("g", views[0], None, [b"", buffer]).to_list() == [values.guid(piece) for piece in raw]
    assert some[0].tolist() == [any(piece) for piece in raw]


MOMENTS = (
    *("2026-03-02 08:15:00.123", "1678-01-01 00:00:00.000", "2261-12-31 23:59:59.999", "2024-02-29 12:00:00.001"),
    *("1677-12-31 23:59:59.999", "2262-01-01 00:00:00.000", "2023-02-29 12:00:00.000", "1900-02-29 00:00:00.000"),
    *("2000-02-29 00:00:00.000", "2026-13-01 00:00:00.000", "2026-00-01 00:00:00.000", "2026-01-32 00:00:00.000"),
    *("2026-01-00 00:00:00.000", "2026-01-01 24:00:00.000", "2026-01-01 00:60:00.000", "2026-01-01 00:00:60.000"),
    *("2026-01-01T00:00:00.000", "2026/01/01 00:00:00.000", "2026-01-01 00:00:00,000", "2026-01-01 0:00:00.0000"),
)


@pytest.mark.parametrize("first", MOMENTS)
def test_written_times_are_those_that_numpy_reads(first: str) -> None:
    chance = random.Random(first)
    for _ in range(40):
        written = [first, "2026-03-02 08:15:00.123", first]
        place = chance.randrange(len(first))
        changed = chance.choice("0123456789:-. é")
        written.append(first[:place] + changed + first[place + 1 :] if chance.random() < 0.9 else first)
        chance.shuffle(written)
        data, at, size = placed([text.encode("utf-16-le") for text in written])
        since = np.empty(len(written), np.int64)
        right = native.kernels.times(data, at, size, since)
        expected = times.read(framing.rows(data, at, 2 * times.WRITTEN).view("<u2"))
        assert bool(right) == (expected is not None)
        assert expected is None or since.tolist() == expected.tolist()


def test_times_may_end_in_a_nul_and_in_nothing_else() -> None:
    written = "2026-03-02 08:15:00.123"
    for ending, right in (("", 1), ("\0", 1), ("0", 0), ("\0\0", 0)):
        data, at, size = placed([(written + ending).encode("utf-16-le")])
        assert native.kernels.times(data, at, size, np.empty(1, np.int64)) == right


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=200))
def test_numbers_are_grouped_as_they_are_met(numbers: list[int]) -> None:
    which, found = np.empty(len(numbers), np.int64), np.empty(len(numbers), np.uint64)
    count = native.kernels.group(np.array(numbers, np.uint64), which, found)
    assert found[:count].tolist() == list(dict.fromkeys(numbers))
    assert [found[place] for place in which.tolist()] == numbers


def test_numbers_that_were_chosen_to_collide_are_left_to_another_way() -> None:
    odd = 0x9E3779B97F4A7C15
    back = pow(odd, -1, 1 << 64)
    numbers = np.array([back * n % (1 << 64) for n in range(1, 200)], np.uint64)  # all in the first place of the table
    assert native.kernels.group(numbers, np.empty(199, np.int64), np.empty(199, np.uint64)) == -1


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"abcdefgh", b"abcdefgi"]), max_size=60), st.integers(0, 5))
def test_values_are_told_apart_by_type_and_bytes_as_far_as_there_is_room(pieces: list[bytes], room: int) -> None:
    data, at, size = placed(pieces)
    kind = np.array([len(piece) % 2 + (n % 7 == 0) for n, piece in enumerate(pieces)], np.uint8)
    which, first = np.empty(len(pieces), np.int64), np.empty(room, np.int64)
    count = native.kernels.alike(data, at, size, kind, which, first)
    keys = list(zip(kind.tolist(), pieces, strict=True))
    known = list(dict.fromkeys(keys))[:room]
    assert count == len(known)
    assert which.tolist() == [known.index(key) if key in known else -1 for key in keys]
    assert [keys[row] for row in first[:count].tolist()] == known


def test_numbers_of_all_widths_are_read_wherever_they_stand() -> None:
    chance = np.random.default_rng(2)
    data = chance.integers(0, 256, 4096, np.uint8)
    at = chance.integers(0, 4088, (5, 300)).astype(np.int32)
    chosen, widths = np.array([4, 0, 2, 2]), np.array([1, 2, 4, 8])
    found = np.empty((4, 300), np.uint64)
    native.kernels.numbers(data, at, chosen, widths, found)
    for column, row, width in zip(found, chosen.tolist(), widths.tolist(), strict=True):
        assert column.tolist() == [int.from_bytes(data[a : a + width].tobytes(), "little") for a in at[row].tolist()]


@pytest.mark.parametrize("content", [good(), log_bytes([sysmon_process(Image=TOOL, time=START)] * 300, exported=False)])
def test_values_are_described_as_by_numpy(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.frombuffer(content[records.FILE_HEADER :], np.uint8)
    batch = Batch(data, texts.Notes(), Names(), 1, Pool())

    def decoded() -> list[Numbers]:
        sound = framing.sound(data, [records.CHUNK] * (data.size // records.CHUNK))
        frames, whole = framing.frames(data, sound)
        at, end = frames.offset + records.RECORD_HEADER, frames.offset + frames.size - 4
        found = instances.instances(batch, at, end)
        assert found.found.any()

        def ask(count: int) -> instances.Asked:
            return instances.Asked(np.arange(count), np.ones(count, bool))

        rows = np.flatnonzero(found.found)
        (group, *_), misfit = instances.values(batch, found.values[rows], end[rows], ask)
        some = group.take(np.arange(0, group.rows.size, 2))
        told = (frames.offset, frames.size, frames.number, whole, found.found, found.definition, found.values, misfit)
        return [*told, *(part for v in (group, some) for part in (v.rows, v.at, v.size, v.kind, v.misfit))]

    by_kernels = decoded()
    monkeypatch.setattr(native, "kernels", None)
    for ours, other in zip(by_kernels, decoded(), strict=True):
        assert ours.tolist() == other.tolist()


@pytest.mark.parametrize("seed", range(60))
def test_a_changed_log_is_decoded_the_same_either_way(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    events = [sysmon_event(number, time=START) for number in (3, 7, 10, 11)] * 8
    content = bytearray(
        log_bytes([*events, *(sysmon_process(Image=TOOL, time=START + n) for n in range(40))], exported=False)
    )
    if seed % 3 == 0:
        content = bytearray((ROOT / "samples" / "logs" / "forwarded.evtx").read_bytes())
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(records.FILE_HEADER + 512, len(content) - 8)
        content[at : at + 4] = chance.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x10\0", chance.randbytes(4)])
    changed = summed(bytes(content))  # with checksums that are right: chunks are framed at once
    by_kernels = gather_bytes(PARSER, tmp_path, changed)
    monkeypatch.setattr(native, "kernels", None)
    by_numpy = gather_bytes(PARSER, tmp_path, changed)
    assert by_kernels.frames.keys() == by_numpy.frames.keys()
    for kind, frame in by_kernels.frames.items():
        assert frame_differences(frame, by_numpy.frames[kind]) == []
    assert by_kernels.problems == by_numpy.problems
    assert by_kernels.records == by_numpy.records


def calls() -> dict[str, tuple[Callable[..., object], list[object]]]:
    """Of each kernel a call that is right, over 16 KiB of data or a chunk."""
    k, n = native.kernels, 8
    data, chunk = np.zeros(1 << 14, np.uint8), np.zeros(records.CHUNK, np.uint8)
    at, size, kind = np.full((2, n), 64, np.int32), np.full((2, n), 4, np.uint16), np.ones((2, n), np.uint8)
    places, ends = np.full(n, 64, np.int64), np.full(n, 900, np.int64)
    one, two = np.zeros(1, np.int64), np.arange(2)
    views, buffer = np.zeros((1, n, 2), np.uint64), np.zeros(4096, np.uint8)
    mask = np.ones(n, bool)

    def matrices() -> list[object]:
        return [at.copy(), size.copy(), kind.copy()]

    numbers = np.zeros(n, np.int64)
    return {
        "instances": (k.instances, [data, places, ends, mask.copy(), numbers.copy(), numbers.copy()]),
        "describe": (
            k.describe,
            [data, places, ends, two, value_types.SIZE, np.ones(2, bool), *matrices(), mask.copy(), np.zeros(n, bool)],
        ),
        "take": (k.take, [n, at, size, kind, two, numbers.copy(), *matrices()]),
        "same": (k.same, [data, places, bytes(24), bytes(24), mask.copy()]),
        "named": (
            k.named,
            [chunk, places, one + 8, one + 8, np.zeros((1, 4), np.uint8), one + 4, mask.copy()],
        ),
        "alike": (k.alike, [data, at[0].copy(), size[0].copy(), kind[0].copy(), numbers.copy(), numbers.copy()]),
        "texts": (k.texts, [data, at, size, one, views, buffer, 0, 1]),
        "guids": (k.guids, [data, at, one, views, mask[None].copy(), buffer, 0, 1]),
        "numbers": (k.numbers, [data, at, one, one + 8, np.zeros((1, n), np.uint64)]),
        "times": (k.times, [*placed([MOMENTS[0].encode("utf-16-le")] * n), numbers.copy()]),
        "gather": (k.gather, [views, numbers, (), np.zeros(n + 1, np.int64), buffer]),
    }


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_takes_what_is_right(name: str) -> None:
    assert set(KERNELS) == calls().keys()
    kernel, given_arguments = calls()[name]
    kernel(*given_arguments)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("extreme", EXTREMES)
def test_places_outside_the_data_are_refused_and_nothing_is_read_there(name: str, extreme: int) -> None:
    refused = 0
    for place, argument in enumerate(calls()[name][1]):
        if not isinstance(argument, np.ndarray) or argument.dtype not in (np.int32, np.int64, np.uint16):
            continue
        kernel, changed = calls()[name]
        limits = np.iinfo(argument.dtype)
        broken = argument.copy()
        broken.flat[-1] = min(max(extreme, limits.min), limits.max)
        changed[place] = broken
        try:
            kernel(*changed)
        except ValueError as error:
            assert re.search(REFUSED, str(error))
            refused += 1
    assert refused or name in ("instances", "alike")  # these may say that nothing is there


@pytest.mark.parametrize("name", KERNELS)
def test_arrays_of_another_size_are_refused(name: str) -> None:
    refused = 0
    for place, argument in enumerate(calls()[name][1]):
        kernel, changed = calls()[name]
        if isinstance(argument, np.ndarray) and argument.dtype != np.uint8:
            changed[place] = np.concatenate([argument.ravel(), argument.ravel()[:1]])
            try:  # it may be the one by which the others are measured
                kernel(*changed)
            except ValueError as error:
                assert re.search(REFUSED, str(error))
                refused += 1
    assert refused
    kernel, right = calls()[name]
    with pytest.raises(TypeError, match="number of arguments"):
        kernel(*right[:-1])
    with pytest.raises((TypeError, BufferError)):
        kernel(*[None] * len(right))


def test_arrays_that_are_written_must_be_writable() -> None:
    kernel, right = calls()["times"]
    right[-1] = bytes(64)
    with pytest.raises(BufferError):
        kernel(*right)


def test_views_that_point_outside_their_buffers_are_refused() -> None:
    views = pl.Series(["x" * 40]).to_arrow(compat_level=pl.CompatLevel.newest())
    _, told, *buffers = views.buffers()
    words, one, end, room = (
        np.frombuffer(told, np.uint64, 2),
        np.zeros(1, np.int64),
        np.zeros(2, np.int64),
        bytearray(40),
    )
    assert native.kernels.gather(words, one, tuple(buffers), end, np.frombuffer(room, np.uint8)) == 40
    assert room == b"x" * 40
    for change in (1 << 32, 1, 0x7FFFFFFF << 32):
        broken = words + np.array([0, change], np.uint64)
        with pytest.raises(ValueError, match="outside"):
            native.kernels.gather(broken, one, tuple(buffers), end, np.frombuffer(room, np.uint8))
    with pytest.raises(ValueError, match="outside"):  # less room than the text takes
        native.kernels.gather(words, one, tuple(buffers), end, np.zeros(39, np.uint8))


def test_what_was_built_of_other_sources_is_left_aside(tmp_path: Path) -> None:
    """Arguments may have changed since: a checkout that moves on and is not installed again."""
    package = tmp_path / "hunt"
    (package / "kernels").mkdir(parents=True)
    (package / "__init__.py").touch()
    for file in ("native.py", Path(str(native.kernels.__file__)).name):
        shutil.copy(ROOT / "hunt" / file, package)
    for file in (ROOT / "hunt" / "kernels").glob("*.[ch]"):
        shutil.copy(file, package / "kernels")
    told = []
    for change in ("", "/* more */"):
        with (package / "kernels" / "values.c").open("a") as source:
            source.write(change)
        code = "import hunt.native; print(hunt.native.kernels is not None)"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        told.append(done.stdout.strip())
    assert told == ["True", "False"]

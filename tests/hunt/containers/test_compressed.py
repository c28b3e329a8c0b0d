"""One file, compressed: what the encoders write, several streams, damage."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hunt import budget, registry
from hunt.errors import LimitError
from hunt.model import Limits, Member, Opening
from tests.hunt.containers.archives import held

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

(COMPRESSED,) = (container for container in registry.containers() if container.name == "compressed")
CONTENT = bytes(range(256)) * 2000 + b"the end"
ENCODERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstd.compress]
each = pytest.mark.parametrize("encode", ENCODERS, ids=["gz", "bz2", "xz", "zst"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.evtx.gz"


@each
def test_what_the_encoder_writes_is_read(path: Path, encode: Callable[[bytes], bytes]) -> None:
    found = held(COMPRESSED, path, encode(CONTENT))
    assert (found.content, found.failed, found.problems) == ({"": CONTENT}, {}, [])


@each
def test_nothing_is_read_as_nothing(path: Path, encode: Callable[[bytes], bytes]) -> None:
    assert held(COMPRESSED, path, encode(b"")).content == {"": b""}


@each
def test_several_streams_are_one_content(path: Path, encode: Callable[[bytes], bytes]) -> None:
    parts = [CONTENT, b"", b"2", CONTENT * 2]
    found = held(COMPRESSED, path, b"".join(map(encode, parts)))
    assert (found.content, found.failed) == ({"": b"".join(parts)}, {})


@each
def test_zeros_at_the_end_are_padding(path: Path, encode: Callable[[bytes], bytes]) -> None:
    found = held(COMPRESSED, path, encode(CONTENT) + bytes(100_000))
    assert (found.content, found.failed) == ({"": CONTENT}, {})


@each
def test_something_else_at_the_end_is_told(path: Path, encode: Callable[[bytes], bytes]) -> None:
    found = held(COMPRESSED, path, encode(CONTENT) + b"something else, and more than a header of it")
    assert found.content == {"": CONTENT}
    assert "is damaged" in found.failed[""]


@each
def test_a_cut_stream_gives_what_came_before(path: Path, encode: Callable[[bytes], bytes]) -> None:
    whole = encode(CONTENT)
    found = held(COMPRESSED, path, whole[: len(whole) - 9])
    assert CONTENT.startswith(found.content[""])
    assert found.failed == {"": "is cut: its compressed data ends early"}


@each
def test_a_bomb_is_stopped(path: Path, monkeypatch: pytest.MonkeyPatch, encode: Callable[[bytes], bytes]) -> None:
    monkeypatch.setattr(budget, "GRACE", 1 << 20)
    with pytest.raises(LimitError, match="--max-ratio"):
        held_all(path, encode(bytes(2 << 20)) * 8, Limits(ratio=10))


def held_all(path: Path, content: bytes, limits: Limits) -> None:
    path.write_bytes(content)
    opening = Opening(limits=limits)
    opening.budget.enter(len(content))
    for entry in COMPRESSED.members(path, opening):
        assert isinstance(entry, Member)
        stream = entry.open()
        while stream.read(1 << 20):
            pass


def test_a_window_that_takes_too_much_memory_is_refused(path: Path) -> None:
    # An encoder would want gigabytes: the size of the dictionary is changed in a small one's block header.
    content = bytearray(lzma.compress(b"1", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]))
    content[content.index(b"\x21\x01\x00") + 2] = 34  # 512 MiB
    content[20:24] = zlib.crc32(content[12:20]).to_bytes(4, "little")
    found = held(COMPRESSED, path, bytes(content))
    assert "Memory usage limit" in found.failed[""]


def test_gzip_says_when(path: Path) -> None:
    path.write_bytes(gzip.compress(b"", mtime=1_772_439_300))
    (entry,) = COMPRESSED.members(path, Opening())
    assert isinstance(entry, Member)
    assert entry.modified == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize("head", [b"", b"BZh9 is a text", b"\x1f\x8b", b"PK\3\4", b"ElfFile\0", bytes(8192)])
def test_other_files_are_not_accepted(head: bytes) -> None:
    assert not COMPRESSED.accepts(head)

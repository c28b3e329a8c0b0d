"""Text files as UTF-8 in blocks, every place traced back to its byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parsers import text_files
from parsers.text_files import TextFile, encoding, text_head

TEXT = "<a>zo\u00eb \u20ac \U0001f388 end<b>" * 40


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xef\xbb\xbf<", ("utf-8", 3)),
        (b"\xff\xfe<\0", ("utf-16-le", 2)),
        (b"\xfe\xff\0<", ("utf-16-be", 2)),
        (b"{\0", ("utf-16-le", 0)),
        (b"{", ("utf-8", 0)),
        (b"", ("utf-8", 0)),
    ],
)
def test_the_encoding_is_told_by_the_first_bytes(head: bytes, found: tuple[str, int]) -> None:
    assert encoding(head) == found


def test_a_head_that_ends_inside_a_character_is_text_all_the_same() -> None:
    assert text_head("{\U0001f388".encode("utf-16")[:-1]).startswith(b"{")


@pytest.mark.parametrize("written", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block", [2, 34, 1 << 20])
def test_a_match_is_found_at_its_byte_wherever_blocks_end(
    written: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "_BLOCK", block)
    monkeypatch.setattr(text_files, "_OVERLAP", 16)
    path = tmp_path / "text"
    path.write_bytes(TEXT.encode(written))
    offsets = []
    with TextFile(path) as file:
        at = 0
        while match := file.search(re.compile(b"end<b>"), at):
            offsets.append(file.offset(match.start()))
            at = match.end()
    expected = [len(TEXT[: m.start()].encode(written)) for m in re.finditer("end<b>", TEXT)]
    assert offsets == expected


def test_halves_of_characters_become_the_replacement(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xff\xfe<\0\x00\xd8>\0x")
    with TextFile(path) as file:
        while file.more(0):
            pass
        assert file.data.decode() == "<\ufffd>\ufffd"
        assert [file.offset(place) for place in (0, 1, 4)] == [2, 4, 6]

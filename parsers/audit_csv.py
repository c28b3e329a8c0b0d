"""CSV exports of the unified audit log: one row a record, its AuditData as JSON in one cell.

Purview's portal writes RecordId, CreationDate, RecordType, Operation, UserId, AuditData (earlier: CreationDate,
UserIds, Operations, AuditData), Export-Csv the properties that Search-UnifiedAuditLog returns. Cells in quotes may hold
newlines.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from . import text_files
from .json_values import Broken, Value
from .text_files import LONGEST, TextFile

_HOLDER = "auditdata"
_BESIDE = frozenset(
    {"creationdate", "recordtype", "operation", "operations", "userid", "userids", "recordid", "identity"}
)
_DELIMITERS = (",", ";", "\t")  # the second as Excel saves it in many countries
_TYPE = b"#TYPE"  # a line that Windows PowerShell's Export-Csv puts before the header
_BLANK = re.compile(rb"[\r\n]*+")
_HEADER = 8192  # bytes: the longest
# Where another row begins, whatever became of those before: in a cell quotes are doubled, and JSON's lines indented.
_BEGIN = re.compile(rb'\n(?:"\{\s{0,20}""|(?![ \t{}\[\]])[^\n]{0,2000}?[,;\t]"\{\s{0,20}"")')


@dataclass(frozen=True, slots=True)
class Header:
    """How a file is laid out."""

    delimiter: str
    place: int  # of AuditData among the columns
    count: int  # columns
    begin: int  # bytes of UTF-8 before the first row


def accepts(head: bytes) -> bool:
    """Whether a file that begins so is such a CSV."""
    return _header(text_files.text_head(head)) is not None


def header(file: TextFile) -> Header | None:
    """The header at the beginning of a file that was just opened; None: it has none, and is no CSV."""
    while len(file.data) < _HEADER and not file.ended:
        file.more(0)
    return _header(file.data[:_HEADER])


def _header(body: bytes) -> Header | None:
    begin = 0
    if body.startswith(_TYPE):
        begin = body.find(b"\n") + 1
    end = body.find(b"\n", begin)
    if body[begin : begin + 1] in (b"{", b"[", b"<") or end < 0 or (begin == 0 and body.startswith(_TYPE)):
        return None
    line = body[begin:end].decode("utf-8", "replace").strip()
    for delimiter in _DELIMITERS:
        names = [name.strip(' "').lower() for name in line.split(delimiter)]
        if names.count(_HOLDER) == 1 and _BESIDE & set(names):
            return Header(delimiter, names.index(_HOLDER), len(names), end + 1)
    return None


def rows(file: TextFile, header: Header) -> Iterator[Value | Broken]:
    """Every row from the place on at which a file was opened, as an object with AuditData alone; no header."""
    at = header.begin if file.forgotten == 0 and _header(file.data[:_HEADER]) is not None else 0
    while True:
        while at >= len(file.data):
            if file.ended:
                return
            file.more(at)
            at = 0
        at = cast(re.Match[bytes], _BLANK.match(file.data, at)).end()
        if at == len(file.data):
            continue
        at, end = _end(file, at)
        if end is None:
            row: Value | Broken = Broken(file.offset(at), f"a row that is cut off, or longer than {LONGEST >> 20} MiB")
        elif not file.data[at:end].strip():
            at = end
            continue
        else:
            row = _row(file, at, end, header)
        yield row
        if end is None or isinstance(row, Broken):
            next_row = file.search(_BEGIN, at)
            at = next_row.start() + 1 if next_row else len(file.data)
        else:
            at = end


def _end(file: TextFile, at: int) -> tuple[int, int | None]:
    """Where a row begins and ends in the window now: at the first newline with no quote open; None if it has no end."""
    quotes = searched = 0  # behind `at`
    while True:
        newline = file.data.find(b"\n", at + searched)
        while newline < 0:
            if file.ended:
                quotes += file.data.count(b'"', at + searched)
                return at, (None if quotes % 2 else len(file.data))
            if len(file.data) - at > LONGEST:
                return at, None
            newline, before = -1, len(file.data) - at
            file.more(at)
            at = 0
            newline = file.data.find(b"\n", max(before, searched))
        quotes += file.data.count(b'"', at + searched, newline)
        searched = newline + 1 - at
        if quotes % 2 == 0:
            return at, newline + 1
        if searched > LONGEST:
            return at, None


def _row(file: TextFile, at: int, end: int, header: Header) -> Value | Broken:
    offset, raw = file.offset(at), file.data[at:end].rstrip(b"\r\n")
    if _BEGIN.search(raw):
        return Broken(offset, "a row that is cut off: another one begins in it")
    line = raw.decode("utf-8", "replace")
    limit = csv.field_size_limit(LONGEST)  # 128 KiB unless told: for the whole process, so it is put back
    try:
        cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=header.delimiter), [])
    except csv.Error as error:
        return Broken(offset, f"no row of a CSV: {error}")
    finally:
        csv.field_size_limit(limit)
    if len(cells) <= header.place:
        return Broken(offset, f"a row of {len(cells)} columns, of which AuditData would be number {header.place + 1}")
    if not cells[header.place].lstrip().startswith("{"):
        return Broken(offset, "a row without JSON in AuditData")
    replaced = "\ufffd" in line and "\ufffd".encode() not in raw
    return Value(offset, {"AuditData": cells[header.place]}, replaced)

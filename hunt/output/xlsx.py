"""A workbook for spreadsheets: findings, their events and stories, queries, problems and coverage, a sheet each.

Cells are texts and numbers, never formulas or links, whatever they begin with; hidden characters are shown.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TextIO

import polars as pl
import xlsxwriter
from xlsxwriter.workbook import Workbook

from hunt.model import Report
from hunt.output._rows import frames, rows
from hunt.output._safe import safe
from hunt.output._stream import as_bytes

BINARY = True  # a terminal is refused before anything is read
TELLS_STORIES = True  # the run is asked to tell them

# "Excel specifications and limits", Microsoft.
_ROWS, _CHARACTERS = 1_048_576, 32_767
_WIDEST, _NARROWEST = 60, 8  # characters of a column
_LOOKED_AT = 1_000  # rows by which a column's width is chosen
_AT_ONCE = 5_000  # rows that are made into texts
_MADE = datetime(1980, 1, 1)  # no clock: the same evidence gives the same bytes
_OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}


def write(report: Report, out: TextIO) -> None:
    """One sheet for each table; frozen headers with filters."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"title": "evtx-hunt", "created": _MADE})
        for name, frame in frames(report).items():
            _sheet(book, name.capitalize(), frame)
    as_bytes(out).write(buffer.getvalue())


def _sheet(book: Workbook, name: str, frame: pl.DataFrame) -> None:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for place, width in enumerate(_widths(frame)):
        sheet.set_column(place, place, width)
    shown = min(frame.height, _ROWS - 1)
    left = frame.height - shown
    if left:  # the last row says so
        shown, left = shown - 1, left + 1
    if frame.width:
        sheet.autofilter(0, 0, shown, frame.width - 1)
    head = book.add_format({"bold": True})
    for place, column in enumerate(frame.columns):
        sheet.write_string(0, place, column, head)
    for number, row in enumerate(islice(_cells(frame), shown), 1):
        for place, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, place, cell)
            elif cell is not None:
                sheet.write_number(number, place, cell)
    if left:
        more = f"and {left} more rows, which no sheet has room for: {name.lower()}.csv of `hunt run -o` has them all"
        sheet.write_string(shown + 1, 0, more)


def _cells(frame: pl.DataFrame) -> Iterator[list[str | int | float | None]]:
    for part in frame.iter_slices(_AT_ONCE):
        for row in rows(part).iter_rows():
            yield [_cell(value) for value in row]


_EXACT = 2**53  # numbers above lose digits in a spreadsheet


def _cell(value: object) -> str | int | float | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and abs(value) <= _EXACT:
        return value
    return None if value is None else _fitting(safe(str(value)))


def _fitting(text: str) -> str:
    """What a cell takes; it counts UTF-16 units."""
    size = len(text.encode("utf-16-le")) // 2
    if size <= _CHARACTERS:
        return text
    more = f"… ({len(text)} characters: the CSV files of `hunt run -o` have all)"
    room = (_CHARACTERS - len(more)) * 2
    return text.encode("utf-16-le")[:room].decode("utf-16-le", errors="ignore") + more


def _widths(frame: pl.DataFrame) -> list[int]:
    """By the header and what stands in the first rows."""
    texts = rows(frame.head(_LOOKED_AT)).select(pl.all().cast(pl.String).str.len_chars().max())
    longest = texts.row(0) if texts.height else ()
    measured = zip(frame.columns, longest, strict=True)
    return [min(max(len(name) + 3, most or 0, _NARROWEST), _WIDEST) for name, most in measured]

"""Script blocks that PowerShell logged in several parts (4104), as one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl


def joined(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of events 4104, each script block of a finding once, where its first part stands.

    `fields`: those of the first part with the text of all, and `parts` (`2 of 3 parts`) where there is more than one.
    """
    whole: dict[tuple[Any, ...], list[tuple[int, Mapping[str, Any], dict[str, Any]]]] = {}
    for row in rows.iter_rows(named=True):
        fields = json.loads(row["fields"])
        block = fields.get("ScriptBlockId") or row["_event"]
        key = (row["finding_id"], row["host"], row["channel"], block)
        whole.setdefault(key, []).append((_number(fields, "MessageNumber"), row, fields))
    told = [_one(sorted(parts, key=lambda part: part[0])) for parts in whole.values()]
    return pl.DataFrame(told, schema=rows.schema)


def _text(parts: Iterable[tuple[int, str]], total: int) -> str:
    """The parts in their order; what is missing between them is no less than what is there."""
    text, expected = "", 1
    for number, part in (*parts, (total + 1, "")):
        if number > expected:
            lost = f"{expected} to {number - 1}" if number - 1 > expected else f"{expected}"
            text += f" [part {lost} of {total} not in the evidence] "
        text, expected = text + part, number + 1
    return text


def _one(parts: list[tuple[int, Mapping[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    by_number = {number: (row, fields) for number, row, fields in reversed(parts)}  # copies of a part count once
    each = [by_number[number] for number in sorted(by_number)]
    (row, fields), total = each[0], max(_number(known, "MessageTotal") for _, _, known in parts)
    if len(each) > 1 or total > 1:
        numbers = sorted(by_number)
        total = max(total, len(each), numbers[-1])
        told = zip(numbers, (str(known.get("ScriptBlockText") or "") for _, known in each), strict=True)
        text = _text(told, total)
        fields = {**fields, "ScriptBlockText": text, "parts": f"{len(each)} of {total} parts"}
    places = [place for other, _ in each for place in other["sources"] or ()]
    first = any(other["_first"] for other, _ in each)
    return {**row, "fields": json.dumps(fields, ensure_ascii=False), "sources": places, "_first": first}


def _number(fields: Mapping[str, Any], name: str) -> int:
    """Texts as well: not every provider's fields are typed."""
    text = str(fields.get(name, ""))
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 1

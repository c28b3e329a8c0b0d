"""What every query of ours says of itself, for `hunt show` and the report."""

from __future__ import annotations

import re

import pytest

from hunt import registry

PARTS = ("Why it matters", "Looks alike", "Blind when", "How", "Next", "See")
# A part that is a field of a rule, and so stands in its own place, stands at the beginning of a line as well.


def part(doc: str, name: str) -> str:
    """The text of one part: from its name to the next one's."""
    names = "|".join(PARTS)
    found = re.search(rf"^{name}[^:\n]*: ?(.*?)(?=^(?:{names})[^:\n]*:|\Z)", doc, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


@pytest.mark.parametrize("query", registry.queries(), ids=lambda query: query.hunt.id)
@pytest.mark.parametrize("name", PARTS)
def test_every_query_says_it(query: registry.Query, name: str) -> None:
    assert len(part(query.hunt.doc, name)) > 25, f"queries/{query.file} has no {name}:"


@pytest.mark.parametrize("query", registry.queries(), ids=lambda query: query.hunt.id)
def test_what_to_do_next_is_short_enough_to_be_read_at_night(query: registry.Query) -> None:
    assert 80 < len(part(query.hunt.doc, "Next")) < 480


@pytest.mark.parametrize("query", registry.queries(), ids=lambda query: query.hunt.id)
def test_see_names_pages(query: registry.Query) -> None:
    assert "https://" in part(query.hunt.doc, "See")

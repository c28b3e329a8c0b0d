"""docs/queries.md says what the queries say."""

from __future__ import annotations

from contrib import docs
from hunt import registry


def test_the_page_is_what_the_queries_say_now() -> None:
    assert docs.PATH.read_text(encoding="utf-8") == docs.page(registry.queries())


def test_every_query_has_its_section_and_a_place_in_the_matrix() -> None:
    text = docs.page(registry.queries())
    for id_ in registry.ids():
        assert f"\n## {id_}\n" in text
        assert f"(#{id_})" in text

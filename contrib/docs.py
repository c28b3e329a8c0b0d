"""`make docs`: docs/queries.md, the documentation of every query as `hunt show` has it; docs.py --check compares."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from hunt import attack, registry
from hunt.model import Need
from hunt.registry import Query
from hunt.report import advice

PATH = Path(__file__).resolve().parent.parent / "docs" / "queries.md"
_BEGIN = """# The queries

Written by `make docs` from the queries themselves. `hunt show QUERY` prints the same; `hunt queries` what each needs.
"""
_LINK = re.compile(r"(?<![<(])\bhttps?://[^\s,]+")


def page(queries: Sequence[Query]) -> str:
    """All of them in Markdown: the ATT&CK matrix, then each by id."""
    lines = [_BEGIN, *_matrix(queries)]
    for query in queries:
        lines += ["", *_one(query)]
    return "\n".join(lines) + "\n"


def _matrix(queries: Sequence[Query]) -> Iterator[str]:
    cells = attack.matrix((query.hunt.id, query.hunt.attack) for query in queries)
    yield "| tactic | technique | queries |"
    yield "|---|---|---|"
    for tactic, covered in groupby(cells, key=lambda cell: cell.tactic):
        for number, cell in enumerate(covered):
            links = ", ".join(f"[{id_}](#{id_})" for id_ in cell.queries)
            yield f"| {'' if number else tactic} | {cell.technique} {cell.name} | {links} |"


def _one(query: Query) -> Iterator[str]:
    hunt = query.hunt
    yield f"## {hunt.id}"
    on_request = "; only if named (`-q`)" if registry.on_request(hunt.id) else ""
    yield f"\n{hunt.title}. Severity {hunt.severity}, risk {hunt.risk_score}; {', '.join(hunt.attack)}{on_request}."
    needs = [_needs(hunt.needs or hunt.instead)] if hunt.needs or hunt.instead else []
    needs += [f"{'any of ' * (len(group) > 1)}{_needs(group)}" for group in hunt.any_of]
    if needs:
        yield f"\nNeeds: {'; and '.join(needs)}."
    text = advice.LABEL.sub(r"**\1:**", hunt.doc)
    for block in re.split(r"\n(?=\*\*)|\n\n", text):
        yield "\n" + _LINK.sub(r"<\g<0>>", " ".join(block.split()))


def _needs(needs: Sequence[Need]) -> str:
    types = sorted({(need.channel, need.event_id) for need in needs})
    return "; ".join(f"{c} {', '.join(str(i) for _, i in ids)}" for c, ids in groupby(types, key=lambda t: t[0]))


def main() -> None:
    """Write, or compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    written = page(registry.queries())
    if options.parse_args().check:
        sys.exit(
            PATH.read_text(encoding="utf-8") != written and "docs/queries.md is not what the queries say: make docs"
        )
    PATH.write_text(written, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

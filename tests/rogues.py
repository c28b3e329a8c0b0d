"""A format whose files do to their parser what hostile evidence may do; as a program, `hunt` with that parser.

`ROGUE WHAT` is all that a file holds.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hunt import registry, supervisor
from hunt.model import Batch, EventType, Evidence, Member, Opening, Problem, Progress, Reading

MAGIC = b"ROGUE "


class Rogue:
    """See `hunt.model.Parser`."""

    name = "rogue"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        for item in files:
            what = item.path.read_bytes().removeprefix(MAGIC).decode()
            yield Progress(item.source, 3)
            yield from getattr(self, what)(item)
            yield Progress(item.source, item.size - 3)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        import polars as pl  # late, as in `hunt`: who only watches is spared it

        from hunt import schema

        return Batch({}, pl.DataFrame(schema=schema.CENSUS))

    def good(self, item: Evidence) -> Iterator[Any]:
        return iter(())

    def loop(self, item: Evidence) -> Iterator[Any]:
        while True:
            pass
        yield

    def c_loop(self, item: Evidence) -> Iterator[Any]:
        sum(range(10**15))  # months, inside C, with Python's lock held and signals unheard
        yield

    def memory(self, item: Evidence) -> Iterator[Any]:
        kept = [bytes([1]) * (32 << 20) for _ in range(10_000) if not time.sleep(0.005)]
        yield kept

    def rows(self, item: Evidence) -> Iterator[Any]:
        import polars as pl

        from hunt import schema

        kind = EventType("Security", 1)
        number = pl.int_range(20_000, eager=True).cast(pl.String)
        text = pl.DataFrame({"record_id": number, "offset": number, "Text": "x" * 500 + number})
        told = text.with_columns(host=pl.lit("H"), channel=pl.lit("Security"), source=pl.lit(item.source))
        frame = schema.conform(told.with_columns(event_id=pl.lit("1")), 1)
        while True:
            yield Batch({kind: frame}, pl.DataFrame(schema=schema.CENSUS))

    def drip(self, item: Evidence) -> Iterator[Any]:
        while True:
            time.sleep(0.05)
            yield Progress(item.source, 0)

    def leave(self, item: Evidence) -> Iterator[Any]:
        os._exit(0)
        yield

    def crash(self, item: Evidence) -> Iterator[Any]:
        ctypes.string_at(0)
        yield

    def bug(self, item: Evidence) -> Iterator[Any]:
        raise ZeroDivisionError(f"a bug of ours in {item.source}")
        yield

    def exit(self, item: Evidence) -> Iterator[Any]:
        raise SystemExit(0)  # as a library may
        yield


ROGUE = Rogue()


class Box:
    """An archive that ends the process that opens it. See `hunt.model.Container`."""

    name = "box"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"ROGUE-BOX")

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        os._exit(0)
        yield


def main() -> None:
    """`hunt`, which also knows rogues; first argument `spawn`: as where no process can fork."""
    from hunt import cli

    if sys.argv[1:2] == ["spawn"]:
        del sys.argv[1]
        supervisor._PROGRAM = "tests.rogues"
        watch = supervisor.watch
        supervisor.watch = lambda: watch(forks=False)  # type: ignore[assignment]
    registry.parsers = lambda: (*_parsers(), ROGUE)  # type: ignore[assignment]
    registry.containers = lambda: (*_containers(), Box())  # type: ignore[assignment]
    cli.main()


_parsers, _containers = registry.parsers, registry.containers

if __name__ == "__main__":
    from tests import rogues  # under the name by which other processes find it

    rogues.main()

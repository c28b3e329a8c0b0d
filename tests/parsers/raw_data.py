"""Raw data for the tests of carving: chunks and records of small logs with anything between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from hunt.model import Evidence, Parser, Reading
from parsers import records
from parsers.carve import carver
from tests.helpers import Result, gather
from tests.helpers import evidence as evidence_of
from tests.parsers.logs import places


def junk(size: int, seed: int = 1) -> bytes:
    """So many bytes that mean nothing."""
    return random.Random(seed).randbytes(size)


def chunks(log: bytes) -> list[bytes]:
    """The chunks of a log."""
    return [log[at : at + records.CHUNK] for at in range(records.FILE_HEADER, len(log), records.CHUNK)]


def record(log: bytes, number: int) -> bytes:
    """One record of a log, by its number."""
    at, size = places(log)[number]
    return log[at : at + size]


def carved(
    folder: Path,
    raw: bytes,
    known: Sequence[Evidence] = (),
    reading: Reading | None = None,
    using: Parser | None = None,
) -> Result:
    """What is carved out of this."""
    path = folder / "raw.bin"
    path.write_bytes(raw)
    return gather(using or carver(known), [evidence_of(path)], reading)

"""Processes as arrays of numbers, by row: what candidates are looked for with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from hunt.lineage.keys import Hashes, hashed
from hunt.lineage.kinds import FOREVER, NEVER, UNKNOWN, Flags, Ints, Small
from hunt.lineage.windows import Clock, clock


@dataclass(frozen=True, slots=True)
class Numbers:
    """One element a process. Times in ns since 1970, UTC; UNKNOWN, FOREVER and NEVER stand for null.

    `session`: the number itself, UNKNOWN from 2**16 on, which Windows never reaches. `host`, `logon` (a LogonId of a
    host), `logon_guid`, `guid`, `parent`: hashes of the host and of these, equal where both are.
    """

    host: Ints
    start: Ints
    timed: Flags  # the start was logged; else it is known to the second
    clock: Clock  # of `start`
    end: Ints
    session: Small
    logon: Ints
    logon_guid: Ints
    guid: Ints
    parent: Ints
    user: Ints  # hash of the name, in lower case
    console: Flags  # a console host, by the name that it usually has


class Started(Protocol):
    """What tells which of some processes began first, and which started which; Numbers does."""

    @property
    def start(self) -> Ints: ...

    @property
    def guid(self) -> Ints: ...

    @property
    def parent(self) -> Ints: ...


def numbers(frame: pl.DataFrame) -> Numbers:
    """Of some of `case.processes`."""
    start = filled(frame["start"].to_physical(), NEVER)
    session = pl.when(pl.col("session") < 1 << 16).then("session").fill_null(UNKNOWN).cast(pl.Int32)
    return Numbers(
        hashes(frame, "host_key"),
        start,
        frame["event_id"].is_not_null().to_numpy(),
        clock(start),
        filled(frame["end"].to_physical(), FOREVER),
        frame.select(session)["session"].to_numpy(),
        hashes(frame, "host_key", "logon_id"),
        hashes(frame, "host_key", "logon_guid"),
        hashes(frame, "host_key", "guid"),
        hashes(frame, "host_key", "parent_guid"),
        hashes(frame.select(pl.col("user").str.to_lowercase()), "user"),
        frame["image"].str.contains(r"(?i-u:\\conhost\.exe$)").fill_null(value=False).to_numpy(),
    )


def hashes(frame: pl.DataFrame, *columns: str) -> Ints:
    """A number for the values of these columns, UNKNOWN where one is null; equal values have equal numbers."""
    return _or_unknown(hashed(frame, *columns), frame, *columns)


def _or_unknown(hashes: Hashes, frame: pl.DataFrame, *columns: str) -> Ints:
    numbered = hashes.view(np.int64)
    if not any(frame[column].null_count() for column in columns):
        return numbered
    known = pl.DataFrame([frame[column].is_not_null() for column in columns]).fold(lambda a, b: a & b).to_numpy()
    return np.where(known, numbered, UNKNOWN)


def filled(column: pl.Series, value: int) -> Ints:
    """Whole numbers, null ones as `value`."""
    return np.asarray(column.cast(pl.Int64).fill_null(value).to_numpy(), np.int64)

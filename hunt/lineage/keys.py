"""Finding processes by host and GUID among millions: by numbers instead of texts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Hashes = npt.NDArray[np.uint64]
Numbered = npt.NDArray[np.integer]
Rows = npt.NDArray[np.signedinteger]

# Evidence may be made so that hashes collide, but not for seeds that are drawn anew each time; by chance, 5 million
# processes do in one of 10**25 runs, as 128 bits are compared. No result depends on the seeds.
_SEEDS = (secrets.randbits(32), secrets.randbits(32))


def hashed(frame: pl.DataFrame, *columns: str, seed: int = 0) -> Hashes:
    """One number for the values of these columns; rows with equal values have equal ones."""
    whole = pl.lit(0, pl.UInt64)
    for at, column in enumerate(columns):
        whole = whole ^ pl.col(column).hash(_SEEDS[seed] + at)
    return frame.select(whole.alias("hash"))["hash"].to_numpy()


def host_key(hosts: pl.Series) -> pl.Series:
    """Hosts in lower case; most rows are of the same host as the one before."""
    heads = hosts.ne_missing(hosts.shift()).fill_null(value=True)
    if hosts.len():
        heads = heads.scatter(0, True)
    run = heads.cast(pl.UInt32).cum_sum() - 1
    return hosts.filter(heads).str.to_lowercase().gather(run).alias("host_key")


def keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """With `host_key`, by which rows are joined: hosts compare without case."""
    return frame.with_columns(host_key(frame["host"]))


@dataclass(frozen=True, slots=True)
class Index:
    """Where the processes of a frame are, by host and GUID. By row: `own` and `proofs`, two hashes of these; `hashes`
    and `rows`: those with a GUID, sorted."""

    frame: pl.DataFrame
    own: Hashes
    proofs: Hashes
    hashes: Hashes
    rows: Rows
    single: bool  # no two have the same

    def find(self, named: pl.DataFrame, guid: str = "guid") -> tuple[Rows, Rows]:
        """(which rows of `named`, with columns `host_key` and `guid`, are known, which process each is), in order.

        A GUID may name several processes: the same start, logged with two times.
        """
        left, row = self.matches(named, guid)
        order = np.argsort(left, kind="stable")
        return left[order], row[order]

    def matches(self, named: pl.DataFrame, guid: str = "guid") -> tuple[Rows, Rows]:
        """As `find`, in no order."""
        asked = hashed(named, "host_key", guid)
        order = np.argsort(asked)
        asked = asked[order]
        low = np.searchsorted(self.hashes, asked, "left")
        if self.single:
            hit = np.flatnonzero(self.hashes[np.minimum(low, self.hashes.size - 1)] == asked)
            left, row = order[hit], self.rows[low[hit]]
            same = hashed(named, "host_key", guid, seed=1)[left] == self.proofs[row]
            return left[same], row[same]
        found = np.searchsorted(self.hashes, asked, "right") - low
        left = np.repeat(order, found)
        at = np.repeat(low, found) + np.arange(left.size) - np.repeat(np.cumsum(found) - found, found)
        row = self.rows[at]
        same = hashed(named, "host_key", guid, seed=1)[left] == self.proofs[row]
        return left[same], row[same]

    def located(self, named: pl.DataFrame, guid: str = "guid") -> pl.DataFrame:
        """The rows of `named` that are known, with `row`, the process."""
        left, row = self.find(named, guid)
        return named[left].with_columns(pl.Series("row", row, dtype=pl.UInt32))


def index(frame: pl.DataFrame) -> Index:
    """Of a frame with `host_key` and `guid`; processes without a GUID are not found."""
    own = hashed(frame, "host_key", "guid")
    rows = (frame["guid"].is_not_null() & frame["host_key"].is_not_null()).arg_true().to_numpy().astype(np.int32)
    named = own if rows.size == own.size else own[rows]
    order = np.argsort(named)
    ordered = named[order]
    single = bool(ordered.size) and not (ordered[1:] == ordered[:-1]).any()
    return Index(frame, own, hashed(frame, "host_key", "guid", seed=1), ordered, rows[order], single)


def extended(known: Index, more: pl.DataFrame) -> Index:
    """With further rows after those there are."""
    added = index(more)
    rows = added.rows + np.int32(known.own.size)
    at = np.searchsorted(known.hashes, added.hashes)
    hashes = np.insert(known.hashes, at, added.hashes)
    return Index(
        pl.concat([known.frame, more]),
        np.concatenate([known.own, added.own]),
        np.concatenate([known.proofs, added.proofs]),
        hashes,
        np.insert(known.rows, at, rows),
        bool(hashes.size) and not (hashes[1:] == hashes[:-1]).any(),
    )


def among(asked: Numbered, known: Numbered) -> npt.NDArray[np.bool_]:
    """Which of `asked` are in `known`, which is sorted."""
    if not known.size:
        return np.zeros(asked.size, bool)
    at = np.minimum(np.searchsorted(known, asked), known.size - 1)
    return np.asarray(known[at] == asked)


def missing(asked: Hashes, known: Hashes) -> npt.NDArray[np.bool_]:
    """Which of `asked` are not in `known`, which is sorted; fast if most are."""
    ordered = np.sort(asked)
    distinct = ordered[np.concatenate([np.ones(min(ordered.size, 1), bool), ordered[1:] != ordered[:-1]])]
    fresh = distinct[~among(distinct, known)]
    return among(asked, fresh)

"""Which logs of a lot are asked for, and by which names results know them: aliases stand for their equals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from hunt import schema
from hunt.model import Reading
from hunt.places import SOURCES
from hunt.store import frames


class Shown:
    """Logs of a case by the names that results have for them."""

    def __init__(self, names: Mapping[str, Sequence[str]], held: Collection[str]) -> None:
        """`names`: by the name in the case; `held`: the logs of a lot, by that name and in their order."""
        once = dict.fromkeys(held)
        self.names = {source: names[source] for source in once if source in names}
        self._plain = len(self.names) == len(once) and all([s] == [*n] for s, n in self.names.items())
        rows = [(source, shown, rank) for rank, (source, all_) in enumerate(self.names.items()) for shown in all_]
        self._table = pl.DataFrame(
            rows, schema={"source": pl.String, "_shown": pl.String, "_rank": pl.UInt32}, orient="row"
        )

    def census(self, whole: pl.DataFrame) -> pl.DataFrame:
        """The rows that tell of these logs."""
        if self._plain:
            return whole
        named = whole.join(self._table, on="source", how="inner", maintain_order="right_left")
        return named.with_columns(source=pl.col("_shown")).select(*schema.CENSUS)

    def frame(self, met: pl.DataFrame, reading: Reading) -> pl.DataFrame:
        """The events that stand in these logs; their places as `reading` wants them."""
        if self._plain and reading.once:
            return met
        named = frames.places(met.with_row_index("_row")).join(self._table, on="source", how="inner")
        apart = named.with_columns(source=pl.col("_shown")).drop("_shown")
        if not reading.once:
            return apart.sort("_rank", "source", "offset", maintain_order=True).drop("_rank", "_row")
        rows = apart.drop("_rank").sort("_row", "source", "offset")
        # What was recovered, or has no record id, is no copy of what is alike: see `duplicates.once`.
        alone = pl.col("record_id").is_null() | pl.col("recovered")
        rows = rows.with_columns(_own=pl.when(alone).then(pl.int_range(pl.len(), dtype=pl.UInt32)))
        lists = rows.group_by("_row", "_own", maintain_order=True).agg(
            sources=pl.struct(path="source", offset="offset").cast(SOURCES.inner)
        )
        several = pl.when(pl.col("sources").list.len() > 1).then("sources").alias("sources")
        first = rows.filter(pl.struct("_row", "_own").is_first_distinct()).drop("_row", "_own")
        return first.with_columns(lists.select(several)["sources"])

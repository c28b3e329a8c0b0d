"""Events cut by host: which hosts a part holds, and what its frames must have in common with those of all others."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from hunt import arrays, schema
from hunt.model import SYSMON, Batch, EventType

SIGNED: dict[str, pl.DataType] = {"sha256": pl.String(), "signature": pl.String(), "signer": pl.String()}
_LOADS = EventType(SYSMON, 7).key


@dataclass(frozen=True, slots=True)
class Share:
    """Hosts by their keys (in lower case; "": none). `rest`: all but these. The default holds all hosts there are.

    One of the parts of a case must be a `rest`, so that no finding belongs to none of them.
    """

    keys: frozenset[str] = frozenset()
    rest: bool = True

    @property
    def everything(self) -> bool:
        return self.rest and not self.keys

    def owns(self, host: str = "host") -> pl.Expr:
        """Whether a row's host is one of them."""
        if self.everything:
            return pl.lit(value=True)
        named = host_key(host).is_in(sorted(self.keys))
        return ~named if self.rest else named

    def of(self, frame: pl.DataFrame, host: str = "host") -> pl.DataFrame:
        """The rows of its hosts."""
        return frame if self.everything else frame.filter(self.owns(host))

    def meets(self, keys: Iterable[str]) -> bool:
        """Whether any of these hosts is one of them."""
        return any((key in self.keys) != self.rest for key in keys)


def bucket(key: str, buckets: int) -> int:
    """Which of some buckets a host falls into, on every machine."""
    return zlib.crc32(key.encode()) % buckets


def host_key(host: str = "host") -> pl.Expr:
    return pl.col(host).fill_null("").str.to_lowercase()


@dataclass(slots=True)
class Agreed:
    """What the frames of all parts have in common, taken from batches as they come; can be pickled and merged.

    Which columns a type of events has, in which order and of which types, depends on all of its events; and whether a
    file is signed is known by its hash, wherever it was seen (`hunt.signatures`).
    """

    kinds: dict[tuple[str, int], EventType] = field(default_factory=dict)  # as first spelled
    columns: dict[tuple[str, int], dict[str, pl.DataType]] = field(default_factory=dict)  # in the order first met
    providers: dict[tuple[str, int], set[str | None]] = field(default_factory=dict)
    _signed: list[pl.DataFrame] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        for kind, frame in batch.frames.items():
            self.add_frame(kind, frame)

    def add_frame(self, kind: EventType, frame: pl.DataFrame) -> None:
        self.kinds.setdefault(kind.key, kind)
        columns = self.columns.setdefault(kind.key, {})
        for name, dtype in schema.dtypes(frame).items():
            if name != "sources":  # which comes last, and of itself
                columns.setdefault(name, dtype)
        self.providers.setdefault(kind.key, set()).update(frame["provider"].unique())
        if kind.key == _LOADS:
            self._sign(frame)

    def merge(self, other: Agreed) -> None:
        """What others agreed on that come after these."""
        for key, kind in other.kinds.items():
            self.kinds.setdefault(key, kind)
            columns = self.columns.setdefault(key, {})
            for name, dtype in other.columns[key].items():
                columns.setdefault(name, dtype)
            self.providers.setdefault(key, set()).update(other.providers[key])
        self._signed += other._signed

    def completed(self, frame: pl.DataFrame, key: tuple[str, int]) -> pl.DataFrame:
        """With null columns for what other parts' events of this type have, in the order of all; more come last."""
        columns = self.columns.get(key, {})
        kinds = schema.kinds(self.providers.get(key, ()), key[1])
        types = {name: kinds[name].dtype if name in kinds else dtype for name, dtype in columns.items()}
        absent = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in frame.columns]
        more = [name for name in frame.columns if name not in types]
        return frame.with_columns(absent).select(*types, *more)

    def signed(self) -> pl.DataFrame:
        """SIGNED, each file once: the best judgement there is."""
        if len(self._signed) > 1:
            self._signed = [_best(pl.concat(self._signed))]
        return self._signed[0] if self._signed else pl.DataFrame(schema=SIGNED)

    def _sign(self, frame: pl.DataFrame) -> None:
        from hunt import signatures  # which reads cases

        if {"Hashes", "Signed", "SignatureStatus"} <= set(frame.columns):
            if "Signature" not in frame.columns:
                frame = frame.with_columns(pl.lit(None, pl.String).alias("Signature"))
            judged = signatures.judged(frame.lazy()).select(*SIGNED).unique().collect()
            few = _best(judged)
            self._signed.append(few.with_columns(arrays.series(few[c].to_arrow()).alias(c) for c in few.columns))
            if sum(part.height for part in self._signed) > _MANY:
                self.signed()


_MANY = 200_000  # rows that wait to be made one of each file


def _best(judged: pl.DataFrame) -> pl.DataFrame:
    from hunt import signatures

    return signatures.best(judged.lazy(), "sha256").collect()

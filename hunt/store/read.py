"""A case that is read: which logs it holds, and its Parquet as lazy frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from hunt.errors import EvidenceError
from hunt.model import Evidence, Problem
from hunt.sources import printable
from hunt.store import folders, layout, manifests
from hunt.store.folders import Folder
from hunt.store.layout import Alias, Case, File, Item


@dataclass(frozen=True, slots=True)
class Store:
    """An opened case. A process that reads for this one gets it as it is: it holds nothing that is open."""

    where: str  # a path or a URL
    label: str  # how results name it
    case: Case

    @property
    def folder(self) -> Folder:
        return _folder(self.where)

    def fault(self, file: File) -> str | None:
        """Why a file can't be the one that was written; None: its SHA-256 is that one's; at a URL, its size is.

        A bit that flips in Parquet may change a text, and nobody would see it.
        """
        try:
            size = self.folder.size(file.path)
            if size != file.bytes:
                return f"{size} bytes, not {file.bytes}"
            local = self.folder.local
            if local is not None and _sha256(local / file.path) != file.sha256:
                return "it is not the one that was written: its SHA-256 is another one"
        except FileNotFoundError:
            return "the file is missing"
        except OSError as error:
            return error.strerror or str(error)
        return None

    def scan(self, files: Sequence[File], columns: Mapping[str, pl.DataType] | None = None) -> pl.LazyFrame:
        """The rows of files, one after the other. All have the same columns; or `columns`, which alone are read."""
        local = self.folder.local
        if local is None:
            return pl.concat([self._fetched(file, columns) for file in files]).lazy()
        paths = [local / file.path for file in files]
        if columns is None:
            return pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        return pl.scan_parquet(paths, glob=False, hive_partitioning=False, schema=columns, extra_columns="ignore")

    def types(self, file: File) -> pl.Schema:
        """The columns of a file."""
        local = self.folder.local
        if local is not None:
            return pl.Schema(pl.read_parquet_schema(local / file.path))
        with self.folder.open(file.path) as opened:
            return pl.Schema(pl.read_parquet_schema(opened))

    def _fetched(self, file: File, columns: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
        """Only the columns come over the network."""
        import pyarrow.parquet as pq  # takes its time

        with self.folder.open(file.path) as opened:
            met = pl.from_arrow(pq.ParquetFile(opened).read(columns=None if columns is None else [*columns]))
        assert isinstance(met, pl.DataFrame)
        return met

    def census(self, lot: layout.Lot) -> pl.DataFrame:
        """`schema.CENSUS` of a lot. Raises what `frames.UNREADABLE` names."""
        content = self.folder.read(layout.census_path(lot.id))
        if hashlib.sha256(content).hexdigest() != lot.census:
            raise ValueError("it is not the one that was written")
        return pl.read_parquet(content)

    def problem(self, file: File, reason: str) -> Problem:
        """What it means that a file of the case can't be read."""
        kind = file.event_type
        named = "several event types" if kind == layout.REST else f"{kind.channel} {kind.event_id}"
        channel = None if kind == layout.REST else kind.channel
        told = f"{file.records} records of {named} can't be read: {reason}"
        return Problem(f"{self.label}/{file.path}", "file", told, channel=channel, size=file.bytes)

    def uncounted(self, lot: layout.Lot, reason: str) -> Problem:
        """What it means that a lot's census can't be read."""
        path = f"{self.label}/{layout.census_path(lot.id)}"
        return Problem(path, "file", f"the counts of {len(lot.items)} logs can't be read: {reason}")

    def logs(self) -> Iterator[tuple[Item | Alias, str, Evidence]]:
        """What stands for each log of the case, the parser that has read it, and the log itself, each once."""
        parsers = {}
        for item in self.case.items():
            parsers[item.source] = item.parser
            yield item, item.parser, _evidence(item, self.folder)
        for alias in self.case.aliases():
            if alias.of in parsers:
                yield alias, parsers[alias.of], _evidence(alias, self.folder)

    def containers(self) -> Iterator[Evidence]:
        """Archives and images that logs came out of."""
        for opened in self.case.containers():
            yield _evidence(opened, self.folder)

    def stored(self) -> tuple[Problem, ...]:
        """What could not be read of logs that are in."""
        return tuple(dict.fromkeys(problem for lot in self.case.lots for problem in lot.problems))


def _sha256(path: Path) -> str:
    """Of a file of a case, which is never written again: a command that reads it twice need not look twice."""
    at = path.stat()
    return _hashed(path, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


@lru_cache(1 << 16)
def _hashed(path: Path, *state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(16)
def _folder(where: str) -> Folder:
    return folders.folder(where)


def _evidence(of: Item | Alias | layout.Opened, folder: Folder) -> Evidence:
    """As it was; its path is the case's, since that is what is read."""
    return Evidence(folder.local or Path(layout.CASE), of.source, of.size, of.sha256, layout.moment(of.modified))


def load(where: str) -> Store:
    """Open a case. Raises HuntError if it is none, is damaged, was written by a later version, or holds nothing."""
    folder = _folder(where)
    case = manifests.load(folder)
    if not case.items():
        late = f": its ingest was ended, {len(case.pending)} are not in; ingest them again" if case.pending else ""
        raise EvidenceError(f"{folder.name}: the case holds no event log{late}")
    name = folder.local.resolve().name if folder.local is not None else folder.name.rstrip("/").rpartition("/")[2]
    return Store(where, printable(name or "case"), case)

"""Frames as files: every event type asked for into one Parquet or CSV file, batch by batch, whatever its size."""

from __future__ import annotations

import importlib
import tempfile
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import cast

import polars as pl
import pyarrow as pa

from hunt import encoded, pulse, schema
from hunt.errors import HuntError
from hunt.model import ALL_COLUMNS, Batch, EventType, Wants
from hunt.output._rows import harmless, safe_cells
from hunt.wire import Arrived

SUFFIXES = (".parquet", ".csv")

_GROUP = 1 << 18  # rows of a row group, at most
# Rows that are worth a row group of their own; smaller batches wait for more.
_ROWS = 32_768
_DIFFERENT = frozenset({"offset", "record_id", "record_number"})  # in each row
_TOGETHER = 4  # files that are finished at the same time


class Writer:
    """Writes the frames of one event type, one after the other, to one file; a context manager.

    The file appears whole, under its own name, when the writer is left without an error. Columns that only later
    batches have cost a second pass: until then each set of columns has a part of its own.
    """

    def __init__(self, path: Path, columns: pl.DataFrame) -> None:
        """`columns`: a frame of no rows, written if no other comes. Raises HuntError for an unknown suffix."""
        if path.suffix.lower() not in SUFFIXES:
            raise HuntError(f"{path}: can write {' and '.join(SUFFIXES)} only")
        self.path = path
        self.rows = 0
        self._columns = columns
        self._waiting: list[pa.Table] = []
        self._kinds: dict[str, pa.DataType] = {}  # of the columns of those that wait
        self._parts: list[Path] = []
        self._part: _Part | None = None
        self._folder = tempfile.TemporaryDirectory(prefix=pulse.TEMPORARY, dir=path.parent, ignore_cleanup_errors=True)
        pulse.temporary(Path(self._folder.name))

    def __enter__(self) -> Writer:
        return self

    def write(self, table: pa.Table) -> None:
        """Take what `schema`'s columns are in Arrow."""
        self.rows += table.num_rows
        kinds = {field.name: encoded.told(field.type) for field in table.schema}
        # Columns of the same name are of the same type: those of two providers may not be.
        if any(self._kinds.get(name, kind) != kind for name, kind in kinds.items()):
            self._flush()
        self._waiting.append(table)
        self._kinds |= kinds
        if sum(waiting.num_rows for waiting in self._waiting) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = encoded.together(self._waiting)
        self._waiting, self._kinds = [], {}
        suffix = self.path.suffix.lower()
        if self._part is None or not self._part.takes(table):
            self._end_part()
            path = Path(self._folder.name) / f"{len(self._parts)}{suffix}"
            self._part = _CsvPart(path, table) if suffix == ".csv" else _ParquetPart(path, table)
            self._parts.append(path)
        self._part.write(table)

    def _end_part(self) -> None:
        if self._part:
            self._part.close()
            self._part = None

    def finish(self) -> None:
        """Write what still waits: nothing more will come."""
        self._waiting = self._waiting or ([] if self._parts else [self._columns.to_arrow()])
        self._flush()
        self._end_part()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._folder:
            if kind is None:
                self.finish()
            self._end_part()
            if kind is None and self._parts:
                whole = self._parts[0] if len(self._parts) == 1 else self._merged()
                whole.replace(self.path)

    def _merged(self) -> Path:
        """All parts as one file, with the columns of each."""
        whole = Path(self._folder.name) / f"whole{self.path.suffix.lower()}"
        if whole.suffix == ".csv":
            read = [pl.scan_csv(part, infer_schema=False) for part in self._parts]
            pl.concat(read, how="diagonal").sink_csv(whole)
        else:
            pl.concat([pl.scan_parquet(part) for part in self._parts], how="diagonal_relaxed").sink_parquet(whole)
        return whole


class _Part:
    """A file that takes tables of the same columns."""

    def __init__(self, path: Path, kinds: pa.Schema) -> None:
        self.path = path
        self.kinds = kinds
        self._told = {field.name: encoded.told(field.type) for field in kinds}

    def takes(self, table: pa.Table) -> bool:
        """Whether it has all of the table's columns."""
        return all(self._told.get(field.name) == encoded.told(field.type) for field in table.schema)

    def write(self, table: pa.Table) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _ParquetPart(_Part):
    def __init__(self, path: Path, first: pa.Table) -> None:
        super().__init__(path, first.schema)
        import pyarrow.parquet as pq

        self.file = pq.ParquetWriter(
            path,
            self.kinds,
            compression="zstd",
            compression_level=1,
            # Of times, hosts, ids: those of all take a third of the time, and texts stand in no order that helps.
            write_statistics=[name for name in self.kinds.names if name in schema.CORE],
            # Numbers that are all different fill a dictionary that is then thrown away: a tenth of the time.
            use_dictionary=[name for name in self.kinds.names if name not in _DIFFERENT],
            store_schema=False,  # readers would make categories of texts with a dictionary
        )

    def write(self, table: pa.Table) -> None:
        # With more than one dictionary, a column is written without.
        self.file.write_table(encoded.fitted(table, self.kinds).unify_dictionaries(), row_group_size=_GROUP)

    def close(self) -> None:
        self.file.close()


class _CsvPart(_Part):
    def __init__(self, path: Path, first: pa.Table) -> None:
        super().__init__(path, pa.schema([(field.name, encoded.told(field.type)) for field in first.schema]))
        self.file = path.open("wb")
        self.header = True

    def write(self, table: pa.Table) -> None:
        frame = cast(pl.DataFrame, pl.from_arrow(encoded.fitted(table, self.kinds)))
        _harmless(frame).write_csv(self.file, include_header=self.header)
        self.header = False

    def close(self) -> None:
        self.file.close()


def export_one(kind: EventType, path: Path) -> Export:
    """Where the events of one type go: one file."""
    return Export({kind.key: (kind, path)}, None)


def export_all(folder: Path) -> Export:
    """Where the events of all types go: a Parquet file each, named by channel and event id."""
    return Export({}, folder)


class Export:
    """Takes batches and writes each wanted event type to its file; a context manager, see `Writer`."""

    def __init__(self, files: Mapping[tuple[str, int], tuple[EventType, Path]], folder: Path | None) -> None:
        self._files = dict(files)
        self._folder = folder
        self._writers: dict[tuple[str, int], Writer] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Export:
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        if self._folder or any(path.suffix.lower() != ".csv" for _, path in self._files.values()):
            # What writes Parquet takes its time to import: now, while others decode.
            threading.Thread(target=importlib.import_module, args=("pyarrow.parquet",), daemon=True).start()
        for kind, path in self._files.values():
            self._open(kind, path)
        return self

    def wants(self) -> Wants:
        """What has a file to go to."""
        return Wants(None if self._folder else dict.fromkeys(self._files, ALL_COLUMNS))

    def add(self, batch: Batch) -> None:
        """Write the frames of a batch."""
        for kind in batch.frames:
            if kind.key not in self._writers and self._folder:
                self._open(kind, self._folder / f"{file_name(*kind)}.parquet")
            self._writers[kind.key].write(_table(batch.frames, kind))

    def _open(self, kind: EventType, path: Path) -> None:
        columns = schema.empty(*kind)
        self._writers[kind.key] = self._stack.enter_context(Writer(path, columns))

    @property
    def rows(self) -> int:
        return sum(writer.rows for writer in self._writers.values())

    @property
    def files(self) -> int:
        return len(self._writers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack, ThreadPoolExecutor(_TOGETHER, "write") as pool:
            for done in [pool.submit(writer.finish) for writer in self._writers.values()]:
                done.result()


def _table(frames: Mapping[EventType, pl.DataFrame], kind: EventType) -> pa.Table:
    """As Arrow has it: copied, so that what waits does not keep all that was decoded with it in memory."""
    return frames.table(kind) if isinstance(frames, Arrived) else encoded.table(frames[kind])


def file_name(channel: str, event_id: int) -> str:
    """A file name for an event type: bytes that a file system may not like in a channel's name become `%xx`."""
    raw = channel.lower().encode("utf-8", "surrogatepass")
    plain = "".join(chr(b) if chr(b).isascii() and (chr(b).isalnum() or b in b"-_ ") else f"%{b:02x}" for b in raw)
    if len(plain) > _LONGEST:
        plain = f"{plain[:_LONGEST]}%{zlib.crc32(plain.encode()):08x}"
    return f"{plain or '%'}.{event_id}"


_LONGEST = 120  # characters; file systems stop at 255 bytes, and paths on Windows at 260 in all


def _harmless(frame: pl.DataFrame) -> pl.DataFrame:
    """For CSV: flat, and safe for spreadsheets, names of columns too: they are the evidence's."""
    lists = [c for c, dtype in schema.dtypes(frame).items() if dtype == schema.TEXTS]
    shown = harmless(_flat(frame), exempt=lists)
    names = safe_cells(pl.Series(shown.columns, dtype=pl.String)).to_list()
    unique = [name if names.index(name) == place else f"{name}#{place}" for place, name in enumerate(names)]
    return shown.rename(dict(zip(shown.columns, unique, strict=True)))


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """For CSV: lists as JSON arrays, times as ISO 8601 with nine decimals, so that all of them is kept."""
    times = [c for c, dtype in schema.dtypes(frame).items() if isinstance(dtype, pl.Datetime)]
    lists = [c for c, dtype in schema.dtypes(frame).items() if dtype == schema.TEXTS]
    return frame.with_columns(
        *(pl.col(c).dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ") for c in times),
        *(_json_list(pl.col(c)).alias(c) for c in lists),
    )


def _json_list(column: pl.Expr) -> pl.Expr:
    # json_encode gives {"x":[...]}; the list is cut out.
    encoded = pl.struct(column.alias("x")).struct.json_encode()
    return pl.when(column.is_not_null()).then(encoded.str.slice(5).str.head(-1))

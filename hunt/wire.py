"""What helpers and those who ask them (`helpers`) say to each other, and how results are laid out between them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from hunt.isolation import Part
    from hunt.model import EventType

    Result = list[Part]
    _Columns = Sequence[tuple[str, pa.Array]]

_WORDS = struct.Struct("<Q")  # how many bytes follow
_ALIGNED = 64  # bytes: as Arrow wants its buffers


def ends(sizes: Sequence[int]) -> Iterator[int]:
    """Where buffers end that lie one after the other, each where Arrow would have it begin."""
    at = 0
    for size in sizes:
        at = -(-at // _ALIGNED) * _ALIGNED + size
        yield at


def say(stream: IO[bytes], words: bytes) -> None:
    stream.write(_WORDS.pack(len(words)) + words)
    stream.flush()


def heard(stream: IO[bytes]) -> bytes:
    """Raises EOFError if nobody is there any more."""
    return _read(stream, *_WORDS.unpack(_read(stream, _WORDS.size)))


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the process is gone")
    return content


def packed(result: Result, buffers: list[memoryview]) -> bytes:
    """A result, its columns as Arrow has them: with texts of their own, their buffers apart."""
    from hunt.model import Batch

    parts: list[Any] = []
    for part in result:
        if isinstance(part, Batch):
            frames = [(kind, frame.height, _columns(frame)) for kind, frame in part.frames.items()]
            parts.append((frames, (part.census.height, _columns(part.census))))
        else:
            parts.append(part)
    return pickle.dumps(parts, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))


def _columns(frame: Any) -> _Columns:
    from hunt import encoded

    return [(column.name, encoded.column(column)) for column in frame.iter_columns()]


class Arrived(Mapping["EventType", "pl.DataFrame"]):
    """The frames of a batch as they came: who only writes them takes tables, others get frames.

    Either share the memory of all that came with them, and keep it: they are most of that.
    """

    def __init__(self, columns: Mapping[EventType, _Columns]) -> None:
        self._columns = columns
        self._frames: dict[EventType, pl.DataFrame] = {}

    def table(self, kind: EventType) -> pa.Table:
        import pyarrow as pa

        columns = self._columns[kind]
        return pa.Table.from_arrays([array for _, array in columns], names=[name for name, _ in columns])

    def __getitem__(self, kind: EventType) -> pl.DataFrame:
        if kind not in self._frames:
            self._frames[kind] = _frame(self._columns[kind])
        return self._frames[kind]

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def unpacked(content: bytes, buffers: Sequence[memoryview], tables: bool = False) -> Result:
    """A result that was `packed`. `tables`: see `hunt.model.Reading`."""
    from hunt.model import Batch

    result: Result = []
    for part in pickle.loads(content, buffers=buffers):  # noqa: S301 - from a process of ours
        if isinstance(part, tuple):
            frames, census = part
            arrived = Arrived({kind: _sound(*of) for kind, *of in frames})
            # Of several they are made here, by one thread each: who takes them is alone.
            made = arrived if tables or len(arrived) == 1 else dict(arrived)
            result.append(Batch(made, _frame(_sound(*census)), own=True))
        else:
            result.append(part)
    return result


def _frame(columns: _Columns) -> pl.DataFrame:
    import polars as pl

    from hunt import encoded
    from hunt.arrays import series

    return pl.DataFrame([series(encoded.plain(array)).alias(name) for name, array in columns])


def _sound(height: int, columns: _Columns) -> _Columns:
    """Raises ValueError for columns that have not so many rows."""
    lengths = {len(array) for _, array in columns} or {0}
    if lengths != {height}:
        raise ValueError(f"{lengths} rows, not {height}")
    return columns

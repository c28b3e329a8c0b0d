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
    return [(column.name, column.to_arrow()) for column in frame.iter_columns()]


class Arrived(Mapping["EventType", "pl.DataFrame"]):
    """The one frame of a batch as it came: who only writes it takes the table, others get a frame.

    Either shares the memory of all that came with it, and keeps it: it is most of that.
    """

    def __init__(self, kind: EventType, height: int, columns: _Columns) -> None:
        _check(height, columns)
        self._kind, self._height, self._columns = kind, height, columns
        self._frame: pl.DataFrame | None = None

    def table(self) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_arrays([array for _, array in self._columns], names=[name for name, _ in self._columns])

    def __getitem__(self, kind: EventType) -> pl.DataFrame:
        if kind != self._kind:
            raise KeyError(kind)
        if self._frame is None:
            self._frame = _frame(self._height, self._columns)
        return self._frame

    def __iter__(self) -> Iterator[EventType]:
        return iter((self._kind,))

    def __len__(self) -> int:
        return 1


def unpacked(content: bytes, buffers: Sequence[memoryview]) -> Result:
    from hunt.model import Batch

    result: Result = []
    for part in pickle.loads(content, buffers=buffers):  # noqa: S301 - from a process of ours
        if isinstance(part, tuple):
            frames, census = part
            # Of several they are made here, by one thread each: who takes them is alone.
            made = Arrived(*frames[0]) if len(frames) == 1 else {kind: _frame(*of) for kind, *of in frames}
            result.append(Batch(made, _frame(*census), own=True))
        else:
            result.append(part)
    return result


def _frame(height: int, columns: _Columns) -> pl.DataFrame:
    import polars as pl

    from hunt.arrays import series

    _check(height, columns)
    return pl.DataFrame([series(array).alias(name) for name, array in columns])


def _check(height: int, columns: _Columns) -> None:
    lengths = {len(array) for _, array in columns} or {0}
    if lengths != {height}:
        raise ValueError(f"{lengths} rows, not {height}")

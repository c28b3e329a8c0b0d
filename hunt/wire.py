"""What helpers and those who ask them (`helpers`) say to each other, and how results are laid out between them."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hunt.isolation import Part

    Result = list[Part]

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


def _columns(frame: Any) -> list[tuple[str, Any]]:
    return [(column.name, column.to_arrow()) for column in frame.iter_columns()]


def unpacked(content: bytes, buffers: Sequence[memoryview]) -> Result:
    from hunt.model import Batch

    result: Result = []
    for part in pickle.loads(content, buffers=buffers):  # noqa: S301 - from a process of ours
        if isinstance(part, tuple):
            frames, census = part
            result.append(Batch({kind: _frame(*of) for kind, *of in frames}, _frame(*census), own=True))
        else:
            result.append(part)
    return result


def _frame(height: int, columns: Sequence[tuple[str, Any]]) -> Any:
    import polars as pl

    from hunt.arrays import series

    frame = pl.DataFrame([series(array).alias(name) for name, array in columns])
    if frame.height != height:
        raise ValueError(f"{frame.height} rows, not {height}")
    return frame

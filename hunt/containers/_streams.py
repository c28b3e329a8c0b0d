"""Streams that fail in one way only, whatever they read from."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, BinaryIO, cast


def said(error: BaseException) -> str:
    """What an error of a library says, with its kind, for few say enough alone."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Guarded(io.RawIOBase):
    """A foreign stream: whatever it raises becomes an OSError, and what was read before counts.

    Not a byte more than `size` is read; where it ends before that, it fails rather than to end early.
    """

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self.size, self._at = stream, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self.size - self._at))
        if not wanted:
            return 0
        try:
            self._stream.seek(self._at)
            part = self._stream.read(wanted)
        except OSError as error:
            raise OSError(f"can't be read at {self._at}: {error.strerror or error}") from error
        except MemoryError:
            raise
        except Exception as error:  # of a library, in damaged data
            raise OSError(f"can't be read at {self._at}: {said(error)}") from error
        if not part:
            raise OSError(f"ends at {self._at} of {self.size} bytes")
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def guarded(opened: Callable[[], Any], size: int) -> BinaryIO:
    """A foreign stream that is opened now. Raises OSError, whatever opening it raises."""
    try:
        return cast(BinaryIO, Guarded(opened(), size))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of a library, in damaged data
        raise OSError(f"can't be opened: {said(error)}") from error


class Window(io.RawIOBase):
    """A stretch of another stream: a partition of a disk."""

    def __init__(self, stream: Any, start: int, size: int) -> None:
        self._stream, self._start, self.size, self._at = stream, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self.size - self._at))
        self._stream.seek(self._start + self._at)
        part = self._stream.read(wanted)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


class Pieces(io.RawIOBase):
    """Stretches of another stream one after the other; an offset of None stands for zeros."""

    def __init__(self, stream: Any, pieces: Sequence[tuple[int | None, int]]) -> None:
        self._stream, self._at = stream, 0
        self._pieces = pieces
        self._ends = list(accumulate(length for _, length in pieces))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._ends[-1] if self._ends else 0)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer at the end."""
        parts: list[bytes] = []
        index = bisect_right(self._ends, self._at)
        while size > 0 and index < len(self._pieces):
            offset, length = self._pieces[index]
            inside = self._at - (self._ends[index] - length)
            here = min(size, length - inside)
            if offset is None:
                part = bytes(here)
            else:
                self._stream.seek(offset + inside)
                part = self._stream.read(here)
            parts.append(part)
            self._at += len(part)
            size -= len(part)
            if len(part) < here:
                break
            index += 1
        return b"".join(parts)

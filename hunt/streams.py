"""Members as iterators of blocks: read, decrypted, decoded, checked one after the other, each block of bounded size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from hunt.checksums import crc32
from hunt.errors import ContainerError

HEAD = 8192  # bytes a parser or container sees of a file to know its own, and so the size of a first block
BLOCK = 1 << 18


class _Blocks(io.RawIOBase):
    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._block = memoryview(block)
        size = min(len(self._block), len(buffer))
        buffer[:size] = self._block[:size]
        self._block = self._block[size:]
        return size


def stream(blocks: Iterable[bytes]) -> BinaryIO:
    """Blocks as a forward-only stream; `read(n)` gives what is left of a block, so maybe less than n."""
    return cast(BinaryIO, _Blocks(blocks))


def exactly(file: BinaryIO, size: int) -> bytes:
    """So many bytes of a stream whose reads may fall short; fewer only at its end."""
    data = file.read(size)
    while data and len(data) < size:
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    return data


def blocks(file: BinaryIO, size: int | None = None, most: int = BLOCK) -> Iterator[bytes]:
    """The next bytes of a file, a small block first; without a size, to the end. Raises ContainerError if it is cut."""
    want, left = HEAD, size
    while left is None or left > 0:
        block = file.read(want if left is None else min(want, left))
        if not block:
            if left is None:
                return
            raise ContainerError(f"is cut: {left} of its {size} bytes are missing")
        if left is not None:
            left -= len(block)
        yield block
        want = most


def checked(parts: Iterable[bytes], size: int | None, crc: int | None) -> Iterator[bytes]:
    """The same blocks; raises ContainerError at their end if size (bytes) or CRC-32 are not what they should be."""
    came, check = 0, 0
    for block in parts:
        came += len(block)
        check = crc32(block, check)
        yield block
    if size is not None and came != size:
        raise ContainerError(f"is damaged: {came} bytes came out and not {size}")
    if crc is not None and check != crc:
        raise ContainerError("is damaged: its checksum differs")

from typing import Any

import numpy.typing as npt
import pyarrow as pa

SOURCES: int

Buffer = npt.NDArray[Any] | bytes | memoryview | pa.Buffer

def chains(data: Buffer, whole: Buffer) -> int: ...
def frames(data: Buffer, whole: Buffer, offset: Buffer, size: Buffer, number: Buffer) -> None: ...
def instances(data: Buffer, at: Buffer, end: Buffer, found: Buffer, definition: Buffer, values: Buffer) -> None: ...
def describe(
    data: Buffer,
    begin: Buffer,
    end: Buffer,
    first: Buffer,
    sizes: Buffer,
    looked_at: Buffer,
    at: Buffer,
    size: Buffer,
    kind: Buffer,
    fit: Buffer,
    misfit: Buffer,
) -> None: ...
def take(
    count: int,
    at: Buffer,
    size: Buffer,
    kind: Buffer,
    filled: Buffer,
    rows: Buffer,
    to_at: Buffer,
    to_size: Buffer,
    to_kind: Buffer,
) -> None: ...
def same(data: Buffer, at: Buffer, like: Buffer, mask: Buffer, fits: Buffer) -> None: ...
def named(
    data: Buffer, at: Buffer, in_place: Buffer, elsewhere: Buffer, stored: Buffer, size: Buffer, fits: Buffer
) -> None: ...
def alike(data: Buffer, at: Buffer, size: Buffer, kind: Buffer, which: Buffer, first: Buffer) -> int: ...
def group(numbers: Buffer, which: Buffer, values: Buffer) -> int: ...
def texts(
    data: Buffer, at: Buffer, size: Buffer, chosen: Buffer, views: Buffer, buffer: Buffer, begin: int, number: int
) -> int: ...
def guids(
    data: Buffer, at: Buffer, chosen: Buffer, views: Buffer, some: Buffer, buffer: Buffer, begin: int, number: int
) -> int: ...
def numbers(data: Buffer, at: Buffer, chosen: Buffer, widths: Buffer, numbers: Buffer) -> None: ...
def times(data: Buffer, at: Buffer, size: Buffer, since: Buffer) -> bool: ...
def dictionary(views: Buffer, valid: Buffer, indices: Buffer, first: Buffer) -> int: ...
def gather(views: Buffer, rows: Buffer, buffers: tuple[Buffer, ...], offsets: Buffer, bytes: Buffer) -> int: ...

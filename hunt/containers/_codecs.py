"""Decompression in blocks of bounded size, whatever a stream claims or does.

Imported only when something is decompressed: most runs meet no archive.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from hunt.budget import Meter
from hunt.errors import ContainerError
from hunt.streams import BLOCK, HEAD

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

# Decoders that ask for more memory are refused: xz -9 takes 65 MiB, zstd --ultra 128 MiB.
_XZ_MEMORY = 192 << 20
_ZSTD_WINDOW_LOG = 27
_LZMA_DICTIONARY = 256 << 20


class Decoder(Protocol):
    """One compressed stream; as `bz2.BZ2Decompressor`."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Zlib:
    """zlib's decoder with the manners of the others."""

    needs_input = True

    def __init__(self, wbits: int) -> None:
        self._decoder = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        tail = self._decoder.unconsumed_tail
        out = self._decoder.decompress(tail + data if tail else data, max_length)
        self.needs_input = not self._decoder.unconsumed_tail and len(out) < max_length
        return out


class _Deflate64:
    """inflate64's decoder knows no bound: it is fed so little at a time that at most some MiB come out."""

    unused_data = b""
    _FEED = 4096  # bytes; deflate64 makes at most some 65,000 of one (a match of 65,538 bytes in about 8 bits)

    def __init__(self) -> None:
        import inflate64

        self._decoder: Any = inflate64.Inflater()
        self._data = b""

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def needs_input(self) -> bool:
        return not self._data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._data += data
        feed, self._data = self._data[: self._FEED], self._data[self._FEED :]
        return bytes(self._decoder.inflate(feed))


class _ZipLzma:
    """LZMA as zip stores it: version, size of the properties, properties, raw data (APPNOTE.TXT 5.8.8)."""

    def __init__(self) -> None:
        self._head = b""
        self._decoder: lzma.LZMADecompressor | None = None

    @property
    def eof(self) -> bool:
        return self._decoder is not None and self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return self._decoder is None or self._decoder.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data if self._decoder else b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._decoder is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            if self._head[2:4] != b"\x05\0":
                raise ValueError("LZMA properties are not 5 bytes")
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_lzma_filter(self._head[4:9])])
            data, self._head = self._head[9:], b""
        return self._decoder.decompress(data, max_length)


def _lzma_filter(properties: bytes) -> dict[str, int]:
    number, dictionary = properties[0], int.from_bytes(properties[1:], "little")
    if number >= 225 or dictionary > _LZMA_DICTIONARY:  # 225 = 9 * 5 * 5: lc, lp and pb in one number
        raise ValueError("LZMA properties are out of range")
    lc, lp, pb = number % 9, number // 9 % 5, number // 45
    return {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(dictionary, 4096)}


def deflate() -> Decoder:
    return _Zlib(-zlib.MAX_WBITS)


def gzip() -> Decoder:
    return _Zlib(16 + zlib.MAX_WBITS)


def deflate64() -> Decoder:
    return _Deflate64()


def bzip2() -> Decoder:
    return bz2.BZ2Decompressor()


def zip_lzma() -> Decoder:
    return _ZipLzma()


def xz() -> Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def zstandard() -> Decoder:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return cast(Decoder, zstd.ZstdDecompressor(options=options))


# By the numbers that APPNOTE.TXT 4.4.5 gives them.
ZIP_METHODS: Mapping[int, Callable[[], Decoder]] = {
    8: deflate,
    9: deflate64,
    12: bzip2,
    14: zip_lzma,
    20: zstandard,
    93: zstandard,
    95: xz,
}


def decoded(source: Iterable[bytes], make: Callable[[], Decoder], meter: Meter, whole: bool = True) -> Iterator[bytes]:
    """What one compressed stream holds; raises ContainerError if it is damaged, or cut and not `whole`.

    `whole`: the stream marks its own end, so that one without the mark is cut.
    """
    decoder = make()
    size = HEAD
    for data in source:
        meter.took(len(data))
        feed = data
        while not decoder.eof:
            out = _step(decoder, feed, size)
            feed = b""
            if out:
                meter.gave(len(out))
                yield out
                size = BLOCK
            if decoder.needs_input:
                break
        if decoder.eof:
            return
    if whole:
        raise ContainerError("is cut: its compressed data ends early")


def decoded_all(source: Iterable[bytes], make: Callable[[], Decoder], meter: Meter) -> Iterator[bytes]:
    """What compressed streams hold that stand one after the other, maybe with zeros between and after them.

    `source` should come in small blocks: what follows a stream is copied for each that a block holds.
    """
    decoder: Decoder | None = None
    first = True
    size = HEAD
    for data in source:
        meter.took(len(data))
        feed = data
        while feed or (decoder and not decoder.needs_input):
            if decoder is None:
                feed = feed if first else feed.lstrip(b"\0")
                if not feed:
                    break
                decoder, first = make(), False
            out = _step(decoder, feed, size)
            feed = b""
            if out:
                meter.gave(len(out))
                yield out
                size = BLOCK
            if decoder.eof:
                feed, decoder = decoder.unused_data, None
    if decoder is not None:
        raise ContainerError("is cut: its compressed data ends early")


def _step(decoder: Decoder, data: bytes, size: int) -> bytes:
    try:
        return decoder.decompress(data, size)
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError, MemoryError) as error:
        # bz2 says OSError for damaged data; nothing is read from a file here.
        raise ContainerError(f"is damaged, or of a kind that can't be read: {error}") from None

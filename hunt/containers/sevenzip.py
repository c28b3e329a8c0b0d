"""7z, by py7zr's reading of headers and its decoders; members in the archive's order, each block of them read once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hunt.errors import ContainerError, LimitError
from hunt.model import Member, Opening, Problem
from hunt.streams import BLOCK, HEAD, checked, stream

_MAGIC = b"7z\xbc\xaf\x27\x1c"
_INPUT = 1 << 15  # bytes fed at once
# To decoders of py7zr that know no other bound to what comes out: 4 bytes of Zstandard may be 128 KiB (RFC 8878).
_UNBOUNDED_INPUT = 512
_BOUNDED = ("AES", "BCJ", "Bcj", "Copy")  # how the names of those begin that give what they take
_STALLED = 1000  # steps that take nothing in and give nothing out
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


class SevenZip:
    """See `hunt.model.Container`."""

    name = "7z"

    def accepts(self, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    def members(self, path: Path, opening: Opening) -> Iterator[Member | Problem]:
        with path.open("rb") as file:
            archive = _opened(file, opening)
            streams = getattr(archive.header, "main_streams", None)
            for folder, start, size in _folders(streams) if streams else ():
                yield from _Folder(file, folder, archive.afterheader + start, size, opening).members()
            for item in getattr(archive, "files", ()):
                if item.emptystream and item.is_file and not item.is_directory:
                    yield Member(item.filename, 0, _modified(item), lambda: stream(()))
            yield from _behind(file, archive)


def _opened(file: BinaryIO, opening: Opening) -> Any:
    from py7zr import SevenZipFile
    from py7zr.exceptions import PasswordRequired

    try:
        return SevenZipFile(file, password=opening.password)
    except PasswordRequired:
        raise ContainerError("is encrypted: --password is needed for it") from None
    except OSError:
        raise
    except Exception as error:  # whatever damaged structures make py7zr run into
        locked = ", or the password is wrong" if opening.password else ""
        raise ContainerError(f"its header is damaged{locked}: {_told(error)}") from None


def _behind(file: BinaryIO, archive: Any) -> Iterator[Problem]:
    """Something else than zeros may be another archive, which nobody would miss."""
    header = archive.sig_header
    file.seek(archive.afterheader + header.nextheaderofs + header.nextheadersize)
    size, other = 0, False
    while block := file.read(BLOCK):
        size += len(block)
        other = other or any(block)
    if other:
        yield Problem("", "file", f"{size} bytes stand behind its end, which are not read")


def _no_file(item: Any) -> Iterator[Problem]:
    if not item.is_directory and item.filename.lower().endswith(".evtx"):
        yield Problem(item.filename, "file", "is no file that can be read")


def _folders(streams: Any) -> list[tuple[Any, int, int]]:
    """(what is compressed together, where its data begin after the header, their size in bytes)."""
    found, first = [], 0
    try:
        packed = streams.packinfo
        for folder in streams.unpackinfo.folders:
            found.append((folder, packed.packpos + packed.packpositions[first], packed.packsizes[first]))
            first += max(1, len(folder.packed_indices))
    except (AttributeError, IndexError, TypeError):  # what py7zr leaves out where the header has not got it
        raise ContainerError("its header is damaged: it does not tell where its data lie") from None
    return found


class _Folder:
    """Members that are compressed together, as 7z's own name for it is."""

    def __init__(self, file: BinaryIO, folder: Any, start: int, size: int, opening: Opening) -> None:
        self._file = file
        self._folder = folder
        self._place = start
        self._size = size
        self._opening = opening
        self._meter = opening.budget.meter()
        self._decoder: Any = None
        self._damage = ""

    def members(self) -> Iterator[Member | Problem]:
        from py7zr.compressor import SupportedMethods

        items = list(self._folder.files or ())
        if self._opening.password is None and SupportedMethods.needs_password(self._folder.coders):
            yield Problem("", "file", f"is encrypted: --password is needed for {len(items)} of its members")
            return
        for number, item in enumerate(items):
            with closing(self._member(item)) as parts:
                told = False
                if not item.is_file:
                    yield from _no_file(item)
                else:
                    yield Member(item.filename, item.uncompressed, _modified(item), partial(stream, parts))
                    told = bool(self._damage)
                try:
                    for _ in parts:  # what was not read; nothing if it was, or failed
                        pass
                except ContainerError as error:
                    if isinstance(error, LimitError):
                        raise
            if self._damage:
                after = len(items) - number - 1
                if after or not told:
                    yield Problem("", "file", f"{self._damage}; {after} members after {item.filename} can't be read")
                return

    def _member(self, item: Any) -> Generator[bytes, None, None]:
        try:
            yield from checked(self._blocks(item.uncompressed), item.uncompressed, item.crc32)
        except ContainerError as error:
            self._damage = self._damage or str(error)
            raise

    def _blocks(self, size: int) -> Iterator[bytes]:
        left, want, stalled = size, HEAD, 0
        while left:
            block = self._step(min(left, want))
            stalled = 0 if block else stalled + 1
            if stalled > _STALLED:
                raise ContainerError("is cut: its compressed data ends early")
            if block:
                self._meter.gave(len(block))
                left -= len(block)
                yield block
                want = BLOCK

    def _step(self, size: int) -> bytes:
        from py7zr.compressor import SevenZipDecompressor

        try:
            if self._decoder is None:
                folder, password = self._folder, self._opening.password
                self._decoder = SevenZipDecompressor(
                    folder.coders, self._size, folder.unpacksizes, folder.crc, password, blocksize=_INPUT
                )
                if not all(map(_is_bounded, self._decoder.chain)):
                    self._decoder.block_size = _UNBOUNDED_INPUT
            return bytes(self._decoder.decompress(self, size))
        except OSError as error:
            if error.errno is not None:
                raise
            raise ContainerError(f"is damaged: {_told(error)}") from None  # as bz2 tells of it
        except Exception as error:  # whatever damaged data make py7zr and its decoders run into
            locked = ", or the password is wrong" if self._opening.password else ""
            raise ContainerError(f"is damaged{locked}: {_told(error)}") from None

    def read(self, size: int) -> bytes:
        """The decoder's next input: none while it still has some, which it would only pile up."""
        if any(_has_input(part) for part in self._decoder.chain):
            return b""
        self._file.seek(self._place)
        data = self._file.read(size)
        self._place += len(data)
        self._meter.took(len(data))
        return data


def _native(part: Any) -> Any:
    """A decoder of the standard library, if it is one; those say whether they need input, and know bounds."""
    decoder = getattr(part, "_decompressor", part)
    return decoder if type(decoder).__name__ in ("LZMADecompressor", "BZ2Decompressor") else None


def _is_bounded(part: Any) -> bool:
    return _native(part) is not None or type(part).__name__.startswith(_BOUNDED)


def _has_input(part: Any) -> bool:
    decoder = _native(part)
    return decoder is not None and not decoder.needs_input


def _modified(item: Any) -> datetime | None:
    ticks = item.lastwritetime
    try:
        return None if ticks is None else _FILETIME_EPOCH + timedelta(microseconds=int(ticks) // 10)
    except OverflowError:
        return None


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


CONTAINER = SevenZip()

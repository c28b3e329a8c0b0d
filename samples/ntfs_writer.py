"""Writes small NTFS volumes: files in folders, with everything that makes a volume one for other programs too.

By the descriptions of libfsntfs ("New Technologies File System (NTFS)") and the Linux kernel's fs/ntfs3. Every content
but the smallest lies in clusters of its own in the order given; the same files give the same bytes. What Windows adds
and no reader of files needs is left out: security descriptors, journals, short names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

CLUSTER = 4096
RECORD = 1024
_SECTOR = 512
_MFT_CLUSTER = 4
_USN = 0x0001  # what stands at the end of each sector in place of its last two bytes

_STANDARD, _NAME, _VOLUME_NAME, _VOLUME, _DATA = 0x10, 0x30, 0x60, 0x70, 0x80
_INDEX_ROOT, _INDEX, _BITMAP = 0x90, 0xA0, 0xB0
_ROOT, _EXTEND = 5, 11
_FIRST_OF_USERS = 24
_FOLDER_FLAG = 0x10000000  # in $FILE_NAME
_SYSTEM = 0x6  # hidden, system
_VOLUME_NAME_TEXT = "SAMPLE"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute before it has a number: its value, or where in clusters it lies."""

    kind: int
    value: bytes = b""
    name: str = ""
    runs: Sequence[tuple[int | None, int]] | None = None  # (first cluster, clusters); None: sparse
    size: int = 0
    valid: int | None = None  # bytes ever written; the size, unless told
    flags: int = 0
    indexed: bool = False


@dataclass(slots=True)
class _Node:
    number: int
    name: str
    parent: int
    folder: bool
    attributes: list[Attribute] = field(default_factory=list)
    children: list[_Node] = field(default_factory=list)
    size: int = 0
    system: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written. `fragments`: into how many parts it is cut, which lie in reverse order."""

    content: bytes
    fragments: int = 1
    deleted: bool = False
    flags: int = 0  # of its data attribute
    valid: int | None = None  # bytes ever written


def volume(files: Mapping[str, bytes | File], clusters: int, filetime: int, records: int = 64) -> bytes:
    """A volume with these files by their paths (/ between folders); every time in it is `filetime` (UTC, 100 ns)."""
    return _Writer(clusters, filetime, records).write(files)


class _Writer:
    def __init__(self, clusters: int, filetime: int, records: int) -> None:
        self._image = bytearray(clusters * CLUSTER)
        self._clusters, self._time, self._records = clusters, filetime, records
        self._next = _MFT_CLUSTER + records * RECORD // CLUSTER
        self._mirror_at = self._take(1)
        self._deleted = set[int]()

    def write(self, files: Mapping[str, bytes | File]) -> bytes:
        root = _Node(_ROOT, ".", _ROOT, True, system=True)
        nodes = {"": root}
        system = self._system_files()
        root.children += [node for node in system if node.number != _ROOT]
        number = _FIRST_OF_USERS
        for path, given in files.items():
            file = given if isinstance(given, File) else File(given)
            parts = path.split("/")
            for depth in range(1, len(parts) + 1):
                here, above = "/".join(parts[:depth]), nodes["/".join(parts[: depth - 1])]
                if here in nodes:
                    continue
                node = nodes[here] = _Node(number, parts[depth - 1], above.number, depth < len(parts))
                number += 1
                if not node.folder:
                    node.attributes.append(self._data(file))
                    node.size = len(file.content)
                if file.deleted and not node.folder:
                    self._deleted.add(node.number)
                else:
                    above.children.append(node)
        every = [root, *system, *(node for node in nodes.values() if node is not root)]
        for node in every:
            if node.folder:
                node.attributes += self._index(node)
        self._place_bitmap(next(node for node in system if node.name == "$Bitmap"))
        for node in every:
            self._place(node)
        self._mirror()
        self._boot()
        return bytes(self._image)

    def _data(self, file: File) -> Attribute:
        content = file.content
        if len(content) <= 256:
            return Attribute(_DATA, content)
        count = -(-len(content) // CLUSTER)
        each = -(-count // file.fragments)
        lengths = [min(each, count - first) for first in range(0, count, each)]
        starts = [0] * len(lengths)
        for index in reversed(range(len(lengths))):
            starts[index] = self._take(lengths[index])
        at = 0
        for start, length in zip(starts, lengths, strict=True):
            part = content[at : at + length * CLUSTER]
            self._image[start * CLUSTER : start * CLUSTER + len(part)] = part
            at += length * CLUSTER
        runs = list(zip(starts, lengths, strict=True))
        return Attribute(_DATA, runs=runs, size=len(content), flags=file.flags, valid=file.valid)

    def _take(self, count: int) -> int:
        start = self._next
        self._next += count
        if self._next > self._clusters - 1:
            raise ValueError("the volume is too small for its files")
        return start

    def _system_files(self) -> list[_Node]:
        table = self._records * RECORD // CLUSTER
        bits = bytes([0xFF] * (self._records // 8))

        def kept(content: bytes) -> Attribute:
            return self._data(File(content.ljust(512, b"\0")))

        bad = Attribute(
            _DATA, name="$Bad", runs=[(None, self._clusters - 1)], size=(self._clusters - 1) * CLUSTER, valid=0
        )
        log = self._data(File(b"\xff" * 65536))
        parts: list[tuple[int, str, list[Attribute]]] = [
            (0, "$MFT", [
                Attribute(_DATA, runs=[(_MFT_CLUSTER, table)], size=self._records * RECORD),
                replace(self._data(File(bits)), kind=_BITMAP),
            ]),
            (1, "$MFTMirr", [Attribute(_DATA, runs=[(self._mirror_at, 1)], size=4 * RECORD)]),
            (2, "$LogFile", [log]),
            (3, "$Volume", [
                Attribute(_VOLUME_NAME, _VOLUME_NAME_TEXT.encode("utf-16-le")),
                Attribute(_VOLUME, struct.pack("<8xBBH", 3, 1, 0)),
                Attribute(_DATA),
            ]),
            (4, "$AttrDef", [kept(_attribute_definitions())]),
            (6, "$Bitmap", []),
            (7, "$Boot", [Attribute(_DATA, runs=[(0, 2)], size=8192)]),
            (8, "$BadClus", [Attribute(_DATA), bad]),
            (9, "$Secure", [
                Attribute(_DATA, _security(), "$SDS"),
                Attribute(_INDEX_ROOT, _empty_index(0x12), "$SDH"),  # sorted by hash
                Attribute(_INDEX_ROOT, _empty_index(0x10), "$SII"),  # sorted by id
            ]),
            (10, "$UpCase", [kept(_upper_case())]),
        ]  # fmt: skip
        nodes = [
            _Node(number, name, _ROOT, False, attributes, system=True, size=attributes[0].size if attributes else 0)
            for number, name, attributes in parts
        ]
        return [*nodes, _Node(_EXTEND, "$Extend", _ROOT, True, system=True)]

    def _place_bitmap(self, node: _Node) -> None:
        size = -(-self._clusters // 8)
        start = self._take(-(-size // CLUSTER))
        used = bytearray(size)
        for cluster in [*range(self._next), self._clusters - 1]:
            used[cluster // 8] |= 1 << cluster % 8
        self._image[start * CLUSTER : start * CLUSTER + size] = used
        node.attributes.append(Attribute(_DATA, runs=[(start, -(-size // CLUSTER))], size=size))
        node.size = size

    def _index(self, node: _Node) -> list[Attribute]:
        """A folder's entries: in its record if they are few, else in one buffer of their own."""
        children = sorted(node.children, key=lambda child: child.name.upper())
        entries = [self._entry(child) for child in children]
        body, last = b"".join(entries), struct.pack("<QHHHH", 0, 16, 0, 2, 0)
        head = struct.pack("<IIIBxxx", _NAME, 1, CLUSTER, 1)
        if len(body) <= 360:
            inside = struct.pack("<IIIBxxx", 16, 16 + len(body) + 16, 16 + len(body) + 16, 0)
            return [Attribute(_INDEX_ROOT, head + inside + body + last, "$I30")]
        start = self._take(1)
        content = struct.pack("<IIIBxxx", 0x28, 0x28 + len(body) + 16, CLUSTER - 0x18, 0) + bytes(0x18) + body + last
        buffer = bytearray((struct.pack("<4sHHQQ", b"INDX", 0x28, 9, 0, 0) + content).ljust(CLUSTER, b"\0"))
        if len(buffer) > CLUSTER:
            raise ValueError(f"too many files in one folder: {node.name}")
        _protect(buffer, 0x28)
        self._image[start * CLUSTER : (start + 1) * CLUSTER] = buffer
        inside = struct.pack("<IIIBxxx", 16, 16 + 24, 16 + 24, 1) + struct.pack("<QHHHHQ", 0, 24, 0, 3, 0, 0)
        return [
            Attribute(_INDEX_ROOT, head + inside, "$I30"),
            Attribute(_INDEX, name="$I30", runs=[(start, 1)], size=CLUSTER),
            Attribute(_BITMAP, struct.pack("<Q", 1), "$I30"),
        ]

    def _entry(self, node: _Node) -> bytes:
        key = self._name(node)
        length = -(-(16 + len(key)) // 8) * 8
        entry = struct.pack("<QHHHH", _reference(node.number), length, len(key), 0, 0) + key
        return entry.ljust(length, b"\0")

    def _name(self, node: _Node) -> bytes:
        times = struct.pack("<4Q", *[self._time] * 4)
        allocated = -(-node.size // CLUSTER) * CLUSTER
        flags = (_FOLDER_FLAG if node.folder else 0x20) | (_SYSTEM if node.system else 0)
        head = struct.pack("<Q", _reference(node.parent)) + times
        # 3: a name for Windows and DOS alike, so that no short one need exist
        return (
            head
            + struct.pack("<QQIIBB", allocated, node.size, flags, 0, len(node.name), 3)
            + node.name.encode("utf-16-le")
        )

    def _place(self, node: _Node) -> None:
        flags = _SYSTEM if node.system else 0x20
        times = struct.pack("<4Q", *[self._time] * 4)
        standard = times + struct.pack("<IIIIIIQQ", flags, 0, 0, 0, 0, 0x100, 0, 0)
        attributes = [
            Attribute(_STANDARD, standard),
            Attribute(_NAME, self._name(node), indexed=True),
            *sorted(node.attributes, key=lambda attribute: (attribute.kind, attribute.name)),
        ]
        in_use = 0 if node.number in self._deleted else 1
        record = record_of(node.number, attributes, in_use | (2 if node.folder else 0))
        at = _MFT_CLUSTER * CLUSTER + node.number * RECORD
        self._image[at : at + RECORD] = record

    def _mirror(self) -> None:
        for number in range(self._records):  # what no file has is still a record, not in use
            at = _MFT_CLUSTER * CLUSTER + number * RECORD
            if self._image[at : at + 4] != b"FILE":
                self._image[at : at + RECORD] = record_of(number, [], 0)
        table = _MFT_CLUSTER * CLUSTER
        mirror = self._mirror_at * CLUSTER
        self._image[mirror : mirror + 4 * RECORD] = self._image[table : table + 4 * RECORD]

    def _boot(self) -> None:
        sectors = self._clusters * CLUSTER // _SECTOR
        boot = bytearray(_SECTOR)
        boot[:11] = b"\xeb\x52\x90NTFS    "
        struct.pack_into("<HB7xB2xHHI4xI", boot, 11, _SECTOR, CLUSTER // _SECTOR, 0xF8, 63, 255, 0, 0x00800080)
        struct.pack_into("<QQQbxxxbxxxQ", boot, 40, sectors - 1, _MFT_CLUSTER, self._mirror_at, -10, 1, 0x53414D504C45)
        boot[510:] = b"\x55\xaa"
        self._image[:_SECTOR] = boot
        self._image[-_SECTOR:] = boot


def record_of(number: int, attributes: Sequence[Attribute], flags: int, base: int = 0) -> bytes:
    """One record of the file table."""
    body = b"".join(_attributes(attributes)) + struct.pack("<II", 0xFFFFFFFF, 0)
    used = 0x38 + len(body)
    if used > RECORD:
        raise ValueError(f"record {number} is too small for its attributes")
    sequence = max(1, number) if number < _FIRST_OF_USERS else 1
    links = 1 if attributes else 0
    head = struct.pack(
        "<4sHHQHHHHIIQHHI",
        b"FILE",
        0x30,
        3,
        0,
        sequence,
        links,
        0x38,
        flags,
        used,
        RECORD,
        base,
        len(attributes),
        0,
        number,
    )
    record = bytearray((head.ljust(0x38, b"\0") + body).ljust(RECORD, b"\0"))
    _protect(record, 0x30)
    return bytes(record)


def _attributes(attributes: Sequence[Attribute]) -> Iterator[bytes]:
    for number, attribute in enumerate(attributes):
        name = attribute.name.encode("utf-16-le")
        if attribute.runs is None:
            offset = -(-(24 + len(name)) // 8) * 8
            head = struct.pack("<IHBx", len(attribute.value), offset, attribute.indexed)
            body = name.ljust(offset - 24, b"\0") + attribute.value
            begin, resident = 24, 0
        else:
            runs = _runs(attribute.runs)
            offset = -(-(64 + len(name)) // 8) * 8
            count = sum(length for _, length in attribute.runs)
            valid = attribute.size if attribute.valid is None else attribute.valid
            head = struct.pack("<QQHHIQQQ", 0, count - 1, offset, 0, 0, count * CLUSTER, attribute.size, valid)
            body = name.ljust(offset - 64, b"\0") + runs
            begin, resident = 64, 1
        length = -(-(16 + len(head) + len(body)) // 8) * 8
        start = struct.pack(
            "<IIBBHHH", attribute.kind, length, resident, len(attribute.name), begin, attribute.flags, number
        )
        yield (start + head + body).ljust(length, b"\0")


def _runs(runs: Sequence[tuple[int | None, int]]) -> bytes:
    """Mapping pairs: each the number of clusters and the distance from where the last run began."""
    parts, before = [], 0
    for start, length in runs:
        size = (length.bit_length() + 8) // 8
        if start is None:
            parts.append(bytes([size]) + length.to_bytes(size, "little"))
            continue
        distance = start - before
        wide = (distance.bit_length() + 8) // 8
        packed = length.to_bytes(size, "little") + distance.to_bytes(wide, "little", signed=True)
        parts.append(bytes([wide << 4 | size]) + packed)
        before = start
    return b"".join(parts) + b"\0"


def _protect(buffer: bytearray, at: int) -> None:
    """Put a number at the end of each sector, and what stood there into the header."""
    struct.pack_into("<H", buffer, at, _USN)
    for sector in range(len(buffer) // _SECTOR):
        end = (sector + 1) * _SECTOR
        buffer[at + 2 + 2 * sector : at + 4 + 2 * sector] = buffer[end - 2 : end]
        struct.pack_into("<H", buffer, end - 2, _USN)


def _reference(number: int) -> int:
    return number | (max(1, number) if number < _FIRST_OF_USERS else 1) << 48


def _security() -> bytes:
    """$Secure:$SDS with one descriptor, number 0x100, that says nothing: self-relative, without owner or lists."""
    descriptor = struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0)
    total = 0
    for (word,) in struct.iter_unpack("<I", descriptor):
        total = (word + (total << 3 | total >> 29)) & 0xFFFFFFFF
    return (struct.pack("<IIQI", total, 0x100, 0, 20 + len(descriptor)) + descriptor).ljust(48, b"\0")


def _empty_index(collation: int) -> bytes:
    last = struct.pack("<QHHHH", 0, 16, 0, 2, 0)
    return struct.pack("<IIIBxxx", 0, collation, CLUSTER, 1) + struct.pack("<IIIBxxx", 16, 32, 32, 0) + last


def _upper_case() -> bytes:
    """$UpCase for ASCII alone: the same with every version of Unicode."""
    return struct.pack("<65536H", *(code - 32 if 0x61 <= code <= 0x7A else code for code in range(65536)))


def _attribute_definitions() -> bytes:
    names = [
        ("$STANDARD_INFORMATION", _STANDARD, 0x40, 0x30, 0x48),
        ("$ATTRIBUTE_LIST", 0x20, 0x80, 0, -1),
        ("$FILE_NAME", _NAME, 0x42, 0x44, 0x242),
        ("$VOLUME_NAME", _VOLUME_NAME, 0x40, 2, 0x100),
        ("$VOLUME_INFORMATION", _VOLUME, 0x40, 0xC, 0xC),
        ("$DATA", _DATA, 0, 0, -1),
        ("$INDEX_ROOT", _INDEX_ROOT, 0x40, 0, -1),
        ("$INDEX_ALLOCATION", _INDEX, 0x80, 0, -1),
        ("$BITMAP", _BITMAP, 0x80, 0, -1),
    ]
    rows = [
        name.encode("utf-16-le").ljust(128, b"\0") + struct.pack("<IIIIqq", kind, 0, 0, flags, least, most)
        for name, kind, flags, least, most in names
    ]
    return b"".join(rows) + bytes(160)

"""Writes disk images and small volumes for the tests, each as its format's description has it.

E01: "Expert Witness Compression Format" of libewf; VMDK: VMware's Virtual Disk Format 5.0; VHDX: [MS-VHDX]; VHD:
Microsoft's VHD specification 1.0; QCOW2: QEMU's docs/interop/qcow2; FAT: Microsoft's FAT specification 1.03; exFAT:
Microsoft's exFAT specification; GPT: UEFI 2.10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

_CHUNK = 64 * 512  # bytes of a chunk in E01
_MB = 1 << 20


def write_e01(path: Path, disk: bytes, segments: int = 1, packed: bool = True) -> list[Path]:
    """`disk.E01` and further segments; `packed`: chunks are compressed."""
    chunks = [disk[at : at + _CHUNK] for at in range(0, len(disk), _CHUNK)]
    share = -(-len(chunks) // segments)
    paths = []
    for number in range(1, segments + 1):
        held = chunks[(number - 1) * share : number * share]
        target = path.with_suffix(f".E{number:02}")
        target.write_bytes(_e01_segment(number, held, len(chunks), len(disk) // 512, number == segments, packed))
        paths.append(target)
    return paths


def _e01_segment(number: int, chunks: list[bytes], total: int, sectors: int, last: bool, packed: bool) -> bytes:
    out = bytearray(b"EVF\x09\x0d\x0a\xff\x00\x01" + struct.pack("<HH", number, 0))

    def section(kind: bytes, content: bytes) -> None:
        size = 76 + len(content)
        end = len(out) + (0 if kind in (b"done", b"next") else size)
        head = struct.pack("<16sQQ40x", kind, end, size)
        out.extend(head + struct.pack("<I", zlib.adler32(head)) + content)

    if number == 1:
        about = b"1\nmain\nc\tn\ta\te\tt\tav\tov\tm\tu\tp\n\t\t\t\t\t\t\t2026 3 2 9 0 0\t2026 3 2 9 0 0\t0\n\n"
        section(b"header", zlib.compress(about))
        volume = struct.pack("<B3xIIIQ", 1, total, 64, 512, sectors).ljust(1048, b"\0")
        section(b"volume", volume + struct.pack("<I", zlib.adler32(volume)))
    offsets, data, at = [], bytearray(), len(out) + 76
    for chunk in chunks:
        small = zlib.compress(chunk)
        if packed and len(small) < len(chunk):
            offsets.append(at + len(data) | 1 << 31)
            data += small
        else:
            offsets.append(at + len(data))
            data += chunk + struct.pack("<I", zlib.adler32(chunk))
    section(b"sectors", bytes(data))
    head = struct.pack("<I4xQ4x", len(offsets), 0)
    entries = struct.pack(f"<{len(offsets)}I", *offsets)
    table = head + struct.pack("<I", zlib.adler32(head)) + entries + struct.pack("<I", zlib.adler32(entries))
    section(b"table", table)
    section(b"table2", table)
    section(b"done" if last else b"next", b"")
    return bytes(out)


def write_vmdk_flat(path: Path, disk: bytes) -> Path:
    """A description, and the disk beside it."""
    path.with_name(f"{path.stem}-flat.vmdk").write_bytes(disk)
    path.write_text(_vmdk_description("monolithicFlat", f'RW {len(disk) // 512} FLAT "{path.stem}-flat.vmdk" 0'))
    return path


def write_vmdk_sparse(path: Path, disk: bytes) -> Path:
    """One file: description, directory, tables, and the grains that are not zeros."""
    grain, entries = 128, 512
    sectors = len(disk) // 512
    tables = -(-sectors // (grain * entries))
    description, directory = 1, 21
    first_table = directory + 1
    data = -(-(first_table + tables * 4) // grain) * grain
    header = struct.pack(
        "<4sIIQQQQIQQQBcccc", b"KDMV", 1, 3, sectors, grain, description, 20, entries, directory, directory, data,
        0, b"\n", b" ", b"\r", b"\n",
    )  # fmt: skip
    out = bytearray(data * 512)
    out[: len(header)] = header
    text = _vmdk_description("monolithicSparse", f'RW {sectors} SPARSE "{path.name}"').encode()
    out[512 : 512 + len(text)] = text
    for table in range(tables):
        struct.pack_into("<I", out, directory * 512 + 4 * table, first_table + 4 * table)
    for number, at in enumerate(range(0, len(disk), grain * 512)):
        content = disk[at : at + grain * 512].ljust(grain * 512, b"\0")
        if any(content):
            struct.pack_into("<I", out, first_table * 512 + 4 * number, len(out) // 512)
            out += content
    path.write_bytes(out)
    return path


def _vmdk_description(kind: str, extent: str, parent: str = "ffffffff") -> str:
    return (
        f'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID={parent}\ncreateType="{kind}"\n\n'
        f'# Extent description\n{extent}\n\n# The Disk Data Base\n#DDB\nddb.adapterType = "ide"\n'
    )


def write_vhdx(path: Path, disk: bytes) -> Path:
    """A dynamic one: blocks of 1 MiB that are zeros are not there."""
    out = bytearray(4 * _MB)
    out[:8] = b"vhdxfile"
    head = bytearray(4096)
    struct.pack_into("<4sIQ16s16s16sHHIQ", head, 0, b"head", 0, 1, b"\1" * 16, b"\2" * 16, bytes(16), 0, 1, _MB, _MB)
    for at in (0x10000, 0x20000):
        struct.pack_into("<Q", head, 8, at >> 16)
        _seal(head)
        out[at : at + 4096] = head
    bat = UUID("2DC27766-F623-4200-9D64-115E9BFD4A08").bytes_le
    metadata = UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
    regions = bytearray(0x10000)
    struct.pack_into("<4sII4x", regions, 0, b"regi", 0, 2)
    struct.pack_into("<16sQII", regions, 16, bat, 3 * _MB, _MB, 1)
    struct.pack_into("<16sQII", regions, 48, metadata, 2 * _MB, _MB, 1)
    _seal(regions)
    out[0x30000:0x40000] = out[0x40000:0x50000] = regions
    items = [
        ("CAA16737-FA36-4D43-B3B6-33F0AA44E76B", struct.pack("<II", _MB, 0), 4),
        ("2FA54224-CD1B-4876-B211-5DBED83BF4B8", struct.pack("<Q", len(disk)), 6),
        ("BECA12AB-B2E6-4523-93EF-C309E000C746", b"\3" * 16, 6),
        ("8141BF1D-A96F-4709-BA47-F233A8FAAB5F", struct.pack("<I", 512), 6),
        ("CDA348C7-445D-4471-9CC9-E9885251C556", struct.pack("<I", 512), 6),
    ]
    struct.pack_into("<8s2xH", out, 2 * _MB, b"metadata", len(items))
    at = 0x10000
    for index, (name, value, flags) in enumerate(items):
        row = 2 * _MB + 32 + 32 * index
        struct.pack_into("<16sIII4x", out, row, UUID(name).bytes_le, at, len(value), flags)
        out[2 * _MB + at : 2 * _MB + at + len(value)] = value
        at += 16
    for number, start in enumerate(range(0, len(disk), _MB)):
        content = disk[start : start + _MB].ljust(_MB, b"\0")
        if any(content):
            struct.pack_into("<Q", out, 3 * _MB + 8 * number, 6 | len(out))  # fully present
            out += content
    path.write_bytes(out)
    return path


def _seal(block: bytearray) -> None:
    """Put the CRC-32C of a block, reckoned with zeros in its place, behind the block's signature."""
    struct.pack_into("<I", block, 4, 0)
    crc = 0xFFFFFFFF
    for byte in block:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    struct.pack_into("<I", block, 4, crc ^ 0xFFFFFFFF)


def write_vhd(path: Path, disk: bytes) -> Path:
    """A dynamic one, blocks of 512 KiB."""
    block, sectors = 1 << 19, len(disk) // 512
    blocks = -(-len(disk) // block)
    footer = bytearray(512)
    geometry = struct.pack(">HBB", min(sectors // 68, 65535), 4, 17)
    struct.pack_into(
        ">8sIIQI4sI4sQQ4sII16s", footer, 0, b"conectix", 2, 0x10000, 512, 0, b"win ", 0x60001, b"Wi2k",
        len(disk), len(disk), geometry, 3, 0, b"\4" * 16,
    )  # fmt: skip
    struct.pack_into(">I", footer, 64, ~sum(footer) & 0xFFFFFFFF)
    head = bytearray(1024)
    struct.pack_into(">8sQQIII", head, 0, b"cxsparse", (1 << 64) - 1, 1536, 0x10000, blocks, block)
    struct.pack_into(">I", head, 36, ~sum(head) & 0xFFFFFFFF)
    table_size = -(-blocks * 4 // 512) * 512
    out = bytearray(footer + head + b"\xff" * table_size)
    for number in range(blocks):
        content = disk[number * block : (number + 1) * block].ljust(block, b"\0")
        if any(content):
            struct.pack_into(">I", out, 1536 + 4 * number, len(out) // 512)
            out += b"\xff" * 512 + content
        else:
            struct.pack_into(">I", out, 1536 + 4 * number, 0xFFFFFFFF)
    path.write_bytes(out + footer)
    return path


def write_qcow2(path: Path, disk: bytes) -> Path:
    """Version 2, clusters of 64 KiB."""
    cluster = 1 << 16
    count = -(-len(disk) // cluster)
    assert count <= cluster // 8, "one table is enough"
    out = bytearray(5 * cluster)  # header, reference table, reference block, level 1, level 2
    struct.pack_into(">4sIQIIQIIQQIIQ", out, 0, b"QFI\xfb", 2, 0, 0, 16, len(disk), 0, 1, 3 * cluster, cluster, 1, 0, 0)
    struct.pack_into(">Q", out, cluster, 2 * cluster)
    struct.pack_into(">Q", out, 3 * cluster, 4 * cluster | 1 << 63)
    for number in range(count):
        content = disk[number * cluster : (number + 1) * cluster].ljust(cluster, b"\0")
        if any(content):
            struct.pack_into(">Q", out, 4 * cluster + 8 * number, len(out) | 1 << 63)
            out += content
    for number in range(len(out) // cluster):
        struct.pack_into(">H", out, 2 * cluster + 2 * number, 1)
    path.write_bytes(out)
    return path


def gpt(*volumes: bytes, sector: int = 512) -> bytearray:
    """A disk with these volumes in a GUID partition table, from 1 MiB on, and the table's copy at the end."""
    basic = UUID("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7").bytes_le
    out = bytearray(_MB)
    entries = bytearray(128 * 128)
    for number, content in enumerate(volumes):
        first, last = len(out) // sector, (len(out) + len(content)) // sector - 1
        struct.pack_into("<16s16sQQQ", entries, 128 * number, basic, bytes([number + 1]) * 16, first, last, 0)
        out += content
    out += bytes(len(entries) + sector)
    end = len(out) // sector - 1
    copied = end - len(entries) // sector
    for at, other, table in ((1, end, 2), (end, 1, copied)):
        head = bytearray(92)
        struct.pack_into(
            "<8sIIIIQQQQ16sQIII", head, 0, b"EFI PART", 0x10000, 92, 0, 0, at, other, 34, copied - 1, b"\5" * 16, table,
            128, 128, zlib.crc32(entries),
        )  # fmt: skip
        struct.pack_into("<I", head, 16, zlib.crc32(head))
        out[at * sector : at * sector + 92] = head
        out[table * sector : table * sector + len(entries)] = entries
    struct.pack_into("<BBBBBBBBII", out, 446, 0, 0, 2, 0, 0xEE, 255, 255, 255, 1, end)
    out[510:512] = b"\x55\xaa"
    return out


def fat(files: Mapping[str, bytes], bits: int = 16, backwards: bool = False) -> bytes:
    """A FAT volume with these files in folders; `backwards`: each file's clusters lie the other way round."""
    per, clusters = 1, {12: 2000, 16: 6000, 32: 66000}[bits]
    entry = {12: 1.5, 16: 2, 32: 4}[bits]
    table_sectors = -(-int((clusters + 2) * entry) // 512)
    reserved, roots = (32, 0) if bits == 32 else (1, 512)
    data = reserved + 2 * table_sectors + roots * 32 // 512
    table = {0: 0x0FFFFFF8, 1: 0x0FFFFFFF}
    out = bytearray((data + clusters * per) * 512)
    free = iter(range(2, clusters + 2))

    def keep(content: bytes) -> int:
        chain = [next(free) for _ in range(max(1, -(-len(content) // 512)))]
        if backwards:
            chain.reverse()
        for number, cluster in enumerate(chain):
            at = (data + cluster - 2) * 512
            part = content[number * 512 : (number + 1) * 512]
            out[at : at + len(part)] = part
            table[cluster] = chain[number + 1] if number + 1 < len(chain) else 0x0FFFFFFF
        return chain[0]

    def folder(prefix: str, above: int | None) -> tuple[bytes, int]:
        rows, seen = [], set[str]()
        for path, content in files.items():
            if not path.startswith(prefix):
                continue
            name, slash, _ = path[len(prefix) :].partition("/")
            if name in seen:
                continue
            seen.add(name)
            if slash:
                rows.append(_fat_rows(name, len(rows), 0x10, folder(f"{prefix}{name}/", 0)[1], 0))
            else:
                rows.append(_fat_rows(name, len(rows), 0x20, keep(content), len(content)))
        if above is None and bits != 32:
            return b"".join(rows), 0
        dots = b"" if above is None else _fat_row(b".          ", 0x10, 0, 0) + _fat_row(b"..         ", 0x10, 0, 0)
        return b"", keep(dots + b"".join(rows))

    rows, root = folder("", None)
    if bits != 32:
        at = (reserved + 2 * table_sectors) * 512
        out[at : at + len(rows)] = rows
    packed = _fat_table(table, bits, table_sectors * 512)
    for copy in range(2):
        at = (reserved + copy * table_sectors) * 512
        out[at : at + len(packed)] = packed
    small = bits != 32 and len(out) // 512 < 65536
    struct.pack_into(
        "<3s8sHBHBHHBHHHII", out, 0, b"\xeb\x58\x90", b"MSDOS5.0", 512, per, reserved, 2, roots,
        len(out) // 512 if small else 0, 0xF8, 0 if bits == 32 else table_sectors, 63, 255, 0,
        0 if small else len(out) // 512,
    )  # fmt: skip
    if bits == 32:
        struct.pack_into("<IHHIHH", out, 36, table_sectors, 0, 0, root, 1, 6)
        struct.pack_into("<BBBI11s8s", out, 64, 0x80, 0, 0x29, 1, b"SAMPLE     ", b"FAT32   ")
    else:
        struct.pack_into("<BBBI11s8s", out, 36, 0x80, 0, 0x29, 1, b"SAMPLE     ", f"FAT{bits}   ".encode())
    out[510:512] = b"\x55\xaa"
    return bytes(out)


def _fat_rows(name: str, number: int, kind: int, cluster: int, size: int) -> bytes:
    """An entry with a long name before its short one."""
    short = f"F{number:07}EVT".encode()
    total = 0
    for byte in short:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    text = name.encode("utf-16-le") + b"\0\0"
    parts = [text[at : at + 26].ljust(26, b"\xff") for at in range(0, len(text), 26)]
    rows = [
        bytes([order | (0x40 if order == len(parts) else 0)])
        + part[:10] + b"\x0f\0" + bytes([total]) + part[10:22] + b"\0\0" + part[22:]
        for order, part in enumerate(parts, 1)
    ]  # fmt: skip
    return b"".join(reversed(rows)) + _fat_row(short, kind, cluster, size)


def _fat_row(short: bytes, kind: int, cluster: int, size: int) -> bytes:
    return struct.pack("<11sB8xHHHHI", short, kind, cluster >> 16, 0, 0x5C62, cluster & 0xFFFF, size)


def _fat_table(table: dict[int, int], bits: int, size: int) -> bytes:
    packed = bytearray(size)
    for cluster, value in table.items():
        if bits == 32:
            struct.pack_into("<I", packed, 4 * cluster, value)
        elif bits == 16:
            struct.pack_into("<H", packed, 2 * cluster, value & 0xFFFF)
        else:
            at = cluster * 3 // 2
            (pair,) = struct.unpack_from("<H", packed, at)
            value &= 0xFFF
            struct.pack_into("<H", packed, at, pair & 0x000F | value << 4 if cluster & 1 else pair & 0xF000 | value)
    return bytes(packed)


def exfat(files: Mapping[str, bytes], chained: bool) -> bytes:
    """An exFAT volume with these files in one folder, `Logs`; `chained`: backwards through the table."""
    clusters, heap = 2048, 256  # clusters of 512 bytes, sectors before the first
    out = bytearray((heap + clusters) * 512)
    table = {0: 0xFFFFFFF8, 1: 0xFFFFFFFF}
    free = iter(range(2, clusters + 2))

    def keep(content: bytes, through_table: bool) -> int:
        chain = [next(free) for _ in range(max(1, -(-len(content) // 512)))]
        if through_table and chained:
            chain.reverse()
        for number, cluster in enumerate(chain):
            at = (heap + cluster - 2) * 512
            part = content[number * 512 : (number + 1) * 512]
            out[at : at + len(part)] = part
            if through_table:
                table[cluster] = chain[number + 1] if number + 1 < len(chain) else 0xFFFFFFFF
        return chain[0]

    bitmap = keep(b"\xff" * (clusters // 8), True)
    upper = struct.pack("<128H", *(code - 32 if 0x61 <= code <= 0x7A else code for code in range(128)))
    case = keep(upper, True)
    rows = b"".join(
        _exfat_rows(name, 0x20, keep(content, chained), len(content), chained) for name, content in files.items()
    )
    rows = rows.ljust(-(-len(rows) // 512) * 512, b"\0")
    logs = _exfat_rows("Logs", 0x10, keep(rows, chained), len(rows), chained)
    total = 0
    for byte in upper:
        total = ((total >> 1) + ((total & 1) << 31) + byte) & 0xFFFFFFFF
    root = keep(
        struct.pack("<BB18xIQ", 0x81, 0, bitmap, clusters // 8)
        + struct.pack("<B3xI12xIQ", 0x82, total, case, len(upper))
        + struct.pack("<BB22s8x", 0x83, 6, "SAMPLE".encode("utf-16-le"))
        + logs,
        True,
    )
    struct.pack_into(
        "<3s8s53xQQIIIIIIHHBBBBB", out, 0, b"\xeb\x76\x90", b"EXFAT   ", 0, len(out) // 512, 128, 128, heap, clusters,
        root, 1, 0x100, 0, 9, 0, 1, 0x80, 0,
    )  # fmt: skip
    out[510:512] = b"\x55\xaa"
    for cluster, value in table.items():
        struct.pack_into("<I", out, 128 * 512 + 4 * cluster, value)
    return bytes(out)


def _exfat_rows(name: str, kind: int, cluster: int, size: int, chained: bool) -> bytes:
    text = name.encode("utf-16-le")
    parts = [text[at : at + 30].ljust(30, b"\0") for at in range(0, len(text), 30)]
    stamp = (46 << 25) | (3 << 21) | (2 << 16) | (10 << 11)  # 2026-03-02 10:00:00, an hour east of UTC
    zone = 0x80 | 4
    first = struct.pack(
        "<BBHHHIIIBBBBB7x", 0x85, 1 + len(parts), 0, kind, 0, stamp, stamp, stamp, 0, 0, zone, zone, zone
    )
    stream = struct.pack("<BBxBHHQIIQ", 0xC0, 1 if chained else 3, len(name), 0, 0, size, 0, cluster, size)
    rows = first + stream + b"".join(b"\xc1\0" + part for part in parts)
    total = 0
    for at, byte in enumerate(rows):
        if at not in (2, 3):
            total = ((total >> 1) + ((total & 1) << 15) + byte) & 0xFFFF
    return rows[:2] + struct.pack("<H", total) + rows[4:]

"""What a disk image or a volume begins with."""

from __future__ import annotations

import struct

EWF = b"EVF\x09\x0d\x0a\xff\x00"
VMDK_SPARSE = (b"KDMV", b"COWD", b"\xbe\xba\xfe\xca\x00\x00\x00\x00")  # VMFS' SESparse is the last
VMDK_DESCRIPTOR = b"# Disk DescriptorFile"
VHDX = b"vhdxfile"
VHD = b"conectix"  # of dynamic ones; a fixed one begins as the disk does
QCOW2 = b"QFI\xfb"

_UNREAD = {
    b"LVF\x09\x0d\x0a\xff\x00": "is logical evidence (L01), which is not read",
    b"LVF2\x0d\x0a\x81\x00": "is logical evidence (Lx01), which is not read",
    b"EVF2\x0d\x0a\x81\x00": "is an Ex01, which is not read; convert it to E01 or raw",
    b"ADSEGMENTEDFILE": "is an AD1, which is not read; export its files",
    b"ADCRYPT": "is an encrypted AD1 or E01, which is not read",
    b"AFF10\r\n": "is an AFF, which is not read; convert it to E01 or raw",
}

# By what a volume's first bytes say, or those at an offset.
_FILE_SYSTEMS = (
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (3, b"-FVE-FS-", "encrypted with BitLocker"),
    (424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001"), "encrypted with BitLocker"),  # To Go: looks like FAT
    (0, b"LUKS\xba\xbe", "encrypted with LUKS"),
    (3, b"ReFS\0\0\0\0", "ReFS"),
    (32, b"NXSB", "APFS"),
    (0, b"XFSB", "XFS"),
    (536, b"LVM2 001", "LVM"),
    (0, b"SPACEDB ", "Storage Spaces"),
    (1024, b"H+\0\x04", "HFS+"),
)
READ = ("ntfs", "ext", "fat", "exfat")
SNIFF = 2048  # bytes that tell


def is_image(head: bytes) -> bool:
    """Whether a file begins as a disk image does, or as a disk or a volume itself (a raw image)."""
    return (
        head.startswith((EWF, *VMDK_SPARSE, VMDK_DESCRIPTOR, VHDX, VHD, QCOW2, *_UNREAD))
        or file_system(head) is not None
        or _is_table(head)
        or any(head[sector : sector + 8] == b"EFI PART" for sector in (512, 4096))
    )


def _is_table(head: bytes) -> bool:
    if head[510:512] != b"\x55\xaa":
        return False
    from ._partitions import is_table  # few files come this far

    return is_table(head[:512])


def known_unread(head: bytes) -> str | None:
    """Why an image of a known format is not read."""
    return next((reason for magic, reason in _UNREAD.items() if head.startswith(magic)), None)


def file_system(head: bytes) -> str | None:
    """One of READ, the name of another that is known, or None."""
    for offset, magic, name in _FILE_SYSTEMS:
        if head[offset : offset + len(magic)] == magic:
            return name
    if _is_ext(head):
        return "ext"
    return "fat" if _is_fat(head) else None


def volume_size(head: bytes) -> int:
    """Bytes that a volume of a kind in READ says it has: its copy of the boot sector not counted."""
    kind = file_system(head)
    if kind == "ext":  # the upper half of the number of blocks counts with INCOMPAT_64BIT
        blocks, wide = (int.from_bytes(head[at : at + 4], "little") for at in (1028, 1360))
        blocks |= wide << 32 if head[1120] & 0x80 else 0
        return blocks << 10 + int.from_bytes(head[1048:1052], "little")
    if kind == "exfat":
        return int.from_bytes(head[72:80], "little") << head[108] if head[108] <= 12 else 0
    sectors = int.from_bytes(head[40:48] if kind == "ntfs" else head[19:21], "little")
    if kind == "fat" and not sectors:
        sectors = int.from_bytes(head[32:36], "little")
    return sectors * int.from_bytes(head[11:13], "little")


def _is_ext(head: bytes) -> bool:
    if head[1080:1082] != b"\x53\xef" or len(head) < 2048:
        return False
    inodes, blocks, log_block, state = struct.unpack_from("<II16xI30xH", head, 1024)
    return bool(inodes >= 10 and blocks > 0 and log_block <= 6 and state < 8)


def _is_fat(head: bytes) -> bool:
    """A boot sector whose numbers make sense, by Microsoft's FAT specification 1.03."""
    if len(head) < 512 or head[510:512] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9):
        return False
    sector, per_cluster, reserved, tables, _, total16, media, table16 = struct.unpack_from("<HBHBHHBH", head, 11)
    total32, table32 = struct.unpack_from("<II", head, 32)
    return (
        sector in (512, 1024, 2048, 4096)
        and per_cluster in (1, 2, 4, 8, 16, 32, 64, 128)
        and reserved > 0
        and tables in (1, 2)
        and (media == 0xF0 or media >= 0xF8)
        and bool(total16 or total32)
        and bool(table16 or table32)
    )

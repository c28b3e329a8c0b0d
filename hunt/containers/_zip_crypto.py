"""Encrypted members of zip files: the old cipher (APPNOTE.TXT 6.1) and WinZip's AES (AE-1 and AE-2)."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

from hunt.errors import ContainerError
from hunt.streams import blocks, exactly

from ._zip_directory import Entry

_CRC = tuple(zlib.crc32(bytes([n]), 0xFFFFFFFF) ^ 0xFFFFFFFF for n in range(256))
_OLD_HEADER = 12  # bytes of noise; the last tells 255 of 256 wrong passwords
_SALT = {1: 8, 2: 12, 3: 16}  # bytes, by strength: AES-128, AES-192, AES-256
_CHECK, _TAG = 2, 10  # bytes that tell a wrong password; bytes of HMAC-SHA1 behind the data
_ROUNDS = 1000  # of PBKDF2, fixed by the format


def decrypted(file: BinaryIO, entry: Entry, password: str) -> Iterator[bytes] | None:
    """The compressed data of a member whose encrypted data begin here; None if the password is wrong."""
    start = file.tell()
    # Which code page a password was typed in is not stored.
    for spelling in dict.fromkeys(password.encode(page, "replace") for page in ("utf-8", "cp1252", "cp437")):
        file.seek(start)
        plain = _aes(file, entry, spelling) if entry.aes else _old(file, entry, spelling)
        if plain is not None:
            return plain
    return None


def _old(file: BinaryIO, entry: Entry, password: bytes) -> Iterator[bytes] | None:
    cipher = _OldCipher(password)
    header = cipher.decrypt(exactly(file, _OLD_HEADER))
    # Where the CRC was not known beforehand, the time stands in for it.
    check = entry.time >> 8 if entry.flags & 8 or entry.crc is None else entry.crc >> 24
    if len(header) < _OLD_HEADER or header[-1] != check:
        return None
    size = None if entry.packed is None else max(0, entry.packed - _OLD_HEADER)
    return map(cipher.decrypt, blocks(file, size, most=1 << 15))


@cache
def _masks() -> bytes:
    return bytes((n | 2) * ((n | 2) ^ 1) >> 8 & 0xFF for n in range(1 << 16))


class _OldCipher:
    """Byte by byte, as each key hangs on the byte before: a MB or two of compressed data a second."""

    def __init__(self, password: bytes) -> None:
        self._keys = (0x12345678, 0x23456789, 0x34567890)
        for byte in password:
            self._keys = self._after(byte)

    def _after(self, byte: int) -> tuple[int, int, int]:
        a, b, c = self._keys
        a = a >> 8 ^ _CRC[(a ^ byte) & 0xFF]
        b = (b + (a & 0xFF)) * 134775813 + 1 & 0xFFFFFFFF
        return a, b, c >> 8 ^ _CRC[(c ^ b >> 24) & 0xFF]

    def decrypt(self, data: bytes) -> bytes:
        crc, masks = _CRC, _masks()
        a, b, c = self._keys
        out = bytearray(data)
        for place, byte in enumerate(data):
            byte ^= masks[c & 0xFFFF]
            out[place] = byte
            a = a >> 8 ^ crc[(a ^ byte) & 0xFF]  # as `_after`, which would cost as much again as a call
            b = (b + (a & 0xFF)) * 134775813 + 1 & 0xFFFFFFFF
            c = c >> 8 ^ crc[(c ^ b >> 24) & 0xFF]
        self._keys = a, b, c
        return bytes(out)


def _aes(file: BinaryIO, entry: Entry, password: bytes) -> Iterator[bytes] | None:
    _, strength = entry.aes or (0, 0)
    if strength not in _SALT or entry.packed is None:
        raise ContainerError("is encrypted in a way that can't be read")
    size = entry.packed - _SALT[strength] - _CHECK - _TAG
    if size < 0:
        raise ContainerError("is damaged: too short for what is encrypted")
    key_size = _SALT[strength] * 2
    salt = exactly(file, _SALT[strength])
    keys = hashlib.pbkdf2_hmac("sha1", password, salt, _ROUNDS, 2 * key_size + _CHECK)
    if exactly(file, _CHECK) != keys[-_CHECK:]:
        return None
    return _aes_blocks(file, size, keys[:key_size], keys[key_size:-_CHECK])


def _aes_blocks(file: BinaryIO, size: int, key: bytes, mac_key: bytes) -> Iterator[bytes]:
    from Cryptodome.Cipher import AES
    from Cryptodome.Util import Counter

    counter = Counter.new(128, little_endian=True, initial_value=1)
    cipher = AES.new(key, AES.MODE_CTR, counter=counter)
    tag = hmac.new(mac_key, digestmod="sha1")
    for block in blocks(file, size):
        tag.update(block)
        yield cipher.decrypt(block)
    if tag.digest()[:_TAG] != exactly(file, _TAG):
        raise ContainerError("is damaged: its authentication code differs")

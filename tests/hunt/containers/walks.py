"""Ways through a disk that go wrong; apart from the tests, for the other process need not import pytest."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hunt.containers._walk import Step, Unit, Unread
from hunt.containers._wanted import File
from hunt.errors import ContainerError

Beat = Callable[[], None]


def content(text: str) -> BinaryIO:
    return io.BytesIO(text.encode())


def file(name: str) -> File:
    return File(name, 4, None, lambda: content("good"))


def hang() -> None:
    while True:
        time.sleep(0.01)


class Hanging(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        hang()
        return b""


def units(first: int, second: Callable[[], None]) -> Iterator[Step]:
    """Three volumes with two files each; between those of the second something happens."""
    for number in range(first, 3):
        yield Unit(number, f"p{number}")
        yield file(f"p{number}/a")
        if number == 1:
            second()
        yield file(f"p{number}/b")


def good(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    return units(first, lambda: None)


def hanging(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    return units(first, hang)


def crashing(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    return units(first, lambda: os._exit(139))


def printing(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    return units(first, lambda: print("DEBUG THIS"))


def slow(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    def alive() -> None:
        for _ in range(14):
            time.sleep(0.1)
            beat()

    return units(first, alive)


def one_hangs(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    yield Unread("", "a note")
    yield Unit(0, "p0")
    yield file("p0/a")
    yield File("p0/b", 4, None, lambda: cast(BinaryIO, Hanging()))
    yield Unread("p0", "another")
    yield file("p0/c")


def hangs_at_once(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    hang()
    yield Unit(0, "p0")


def hangs_between(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    if first:
        hang()
    yield Unit(0, "p0")
    yield file("p0/a")
    os._exit(139)


def fails(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    yield Unit(0, "p0")
    raise ContainerError("is no disk")


def taking_memory(path: Path, first: int, beat: Beat) -> Iterator[Step]:
    yield Unit(0, "p0")
    yield File("p0/a", 4, None, lambda: io.BytesIO(bytes(1 << 42)))
    yield file("p0/b")

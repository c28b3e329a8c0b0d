"""Evidence cut into lots: what one task reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hunt.model import Batch, Evidence, Parser, Piece, Problem, Progress, Ranged, Reading, Wants
from hunt.pieces import PieceParser
from hunt.store.parser import Stored

SMALLEST, LARGEST = 32 << 20, 256 << 20  # bytes of a lot, but for files that can't be cut
_STORED = 512 << 20  # of logs in a case: what was decoded together is read together
_EACH = 8  # lots for each task that runs at a time, so that all end at about the same time


@dataclass(frozen=True, slots=True)
class Lot:
    """Files, or one piece of a large one, all for the same parser and seen by the same machines."""

    parser: Parser
    pieces: tuple[Piece, ...]
    machines: frozenset[str]

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    @property
    def items(self) -> list[Evidence]:
        return [piece.evidence for piece in self.pieces]

    def read(self, reading: Reading) -> Iterator[Batch | Problem | Progress]:
        """As `Parser.read`."""
        return self.as_parser().read(self.items, reading)

    def as_parser(self) -> Parser:
        """What reads it: a parser that can be handed on."""
        (first, *others) = self.pieces
        whole = others or first.size == first.evidence.size
        if whole or not isinstance(self.parser, Ranged):
            return self.parser
        return PieceParser.of(self.parser, first)

    def key(self, how: str) -> str:
        """A name that depends on all that reading it depends on: equal ones give the same. `how`: see `named`."""
        pieces = [[p.evidence.sha256, p.evidence.source, str(p.evidence.path), p.begin, p.end] for p in self.pieces]
        return hashed([how, self.parser.name, pieces])


def named(version: Sequence[str], reading: Reading, needed: Wants) -> str:
    """A name for how lots are read: what they all have in common."""
    return hashed([[*version], reading.slack, reading.once, told(reading.wants), told(needed)])


def told(wants: Wants) -> object:
    """The same for equal wants."""
    types = None if wants.types is None else sorted([*key, sorted(columns)] for key, columns in wants.types.items())
    return [types, wants.channels]


def hashed(said: object) -> str:
    """A name by content, of what JSON can tell."""
    return hashlib.sha256(json.dumps(said).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def cut(
    files: Iterable[tuple[Parser, Sequence[Evidence]]], sees: Callable[[Evidence], frozenset[str]], size: int
) -> list[Lot]:
    """All files of each parser in order, in lots of about so many bytes; `sees`: which machines see a file."""
    lots: list[Lot] = []
    for parser, items in files:
        most = max(size, _STORED) if isinstance(parser, Stored) else size
        waiting: list[Piece] = []
        for item in items:
            # Elsewhere there may be another working directory.
            there = replace(item, path=item.path.absolute())
            large = isinstance(parser, Ranged) and item.size > size
            whole = [Piece(there, 0, item.size)]
            pieces = parser.pieces(there, size) if isinstance(parser, Ranged) and large else whole
            full = sum(piece.size for piece in waiting) + item.size > most
            if waiting and (full or sees(waiting[0].evidence) != sees(item)):
                lots.append(Lot(parser, tuple(waiting), sees(waiting[0].evidence)))
                waiting = []
            if large:
                lots += [Lot(parser, (piece,), sees(item)) for piece in pieces]
            else:
                waiting += pieces
        if waiting:
            lots.append(Lot(parser, tuple(waiting), sees(waiting[0].evidence)))
    return lots


def size_of_lots(total: int, running: int) -> int:
    """Bytes of a lot, where so many bytes are to be read by so many tasks at a time."""
    return max(SMALLEST, min(LARGEST, total // (running * _EACH)))

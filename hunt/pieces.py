"""One piece of a large file, read as if it were all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hunt.model import Batch, Evidence, Piece, Problem, Progress, Ranged, Reading


@dataclass(slots=True)
class PieceParser:
    """A parser for which a piece is all of a file; can be handed on. See `hunt.model.Parser`."""

    name: str
    parser: Ranged
    piece: Piece

    @staticmethod
    def of(parser: Ranged, piece: Piece) -> PieceParser:
        return PieceParser(parser.name, parser, piece)

    def accepts(self, head: bytes) -> bool:
        return self.parser.accepts(head)

    def read(self, files: Sequence[Evidence], reading: Reading) -> Iterator[Batch | Problem | Progress]:
        """The events of the piece, whatever `files` says."""
        return self.parser.read_piece(self.piece, reading)

    def records(self, evidence: Evidence, offsets: Sequence[int]) -> Batch:
        """Single events, by their places in the whole file."""
        return self.parser.records(self.piece.evidence, offsets)

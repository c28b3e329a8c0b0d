"""What Lark says of a text that is no query -> what the author of it is told."""

from __future__ import annotations

from lark import Token, UnexpectedInput
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

from hunt.eql.literals import invalid
from hunt.eql.syntax import Place
from hunt.rules.model import RuleError


def place(token: Token) -> Place:
    """Where a token begins."""
    return Place(token.line or 1, token.column or 1)


def unexpected(error: UnexpectedInput, text: str) -> RuleError:
    if isinstance(error, UnexpectedCharacters):
        where = Place(error.line, error.column)
        rest = text[error.pos_in_stream or 0 :]
        if rest.startswith(("'", '"')):
            return invalid("a text that does not end on its line", where)
        if rest.startswith("/*"):
            return invalid("a comment that does not end", where)
        return invalid(f"unexpected character {rest[:1]!r}", where)
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        lines = text.rstrip().splitlines() or [""]
        return invalid("the query ends too early", Place(len(lines), len(lines[-1]) + 1))
    assert isinstance(error, UnexpectedToken)
    token = error.token
    if text[token.start_pos or 0 :].startswith("/*"):
        return invalid("a comment that does not end", place(token))
    if token.type == "_ASSIGN":
        return invalid("unexpected '=' (equal is == or, without case, :)", place(token))
    return invalid(f"unexpected {str(token)[:40]!r}", place(token))

"""Lucene's regular expressions -> Rust's.

Lucene's mean the whole value and have no anchors: ^ and $ are characters. Its own operators are those of
https://www.elastic.co/docs/reference/query-languages/query-dsl/regexp-syntax (all flags on, as Elasticsearch has it in
EQL): @ any text, # nothing, "..." a literal; ~ (complement), & (intersection) and <1-5> (numbers) can't be said in
Rust's.
"""

from __future__ import annotations

from hunt.eql.literals import invalid, unsupported
from hunt.eql.syntax import Place

_CLASSES = "dDsSwW"  # since Lucene 8.6
_SPECIAL = set(".+*?()|[]{}^$#&-~/\\")
_ANYTHING = r"(?:.*)"
_NOTHING = r"[^\x{0}-\x{10FFFF}]"


def translated(text: str, place: Place) -> str:
    """Raises RuleError for what can't be said, or is no regular expression."""
    out: list[str] = []
    at = level = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\":
            if at == len(text):
                raise invalid("a regular expression that ends with a backslash", place)
            out.append(_escape(text[at]))
            at += 1
        elif char == "[":
            piece, at = _class(text, at, place)
            out.append(piece)
        elif char == '"':
            end = text.find('"', at)
            if end < 0:
                raise invalid('a regular expression with a " that does not end (a quote itself is \\")', place)
            out.append(f"(?:{''.join(map(_literal, text[at:end]))})")
            at = end + 1
        elif char == "(":
            if text[at : at + 1] == "?":
                raise unsupported("(? in a regular expression (Lucene's have no flags and no looking around)", place)
            level += 1
            out.append("(?:")
        elif char == ")":
            level -= 1
            if level < 0:
                raise invalid("a regular expression with a ) too many", place)
            out.append(")")
        elif char == "{":
            end = text.find("}", at)
            bounds = text[at:end].split(",") if end > 0 else [""]
            if len(bounds) > 2 or not bounds[0].isdigit() or not all(b.isdigit() or not b for b in bounds[1:]):
                raise invalid("a regular expression with a { that gives no numbers (a brace itself is \\{)", place)
            out.append(text[at - 1 : end + 1])
            at = end + 1
        elif char in "~&<":
            raise unsupported(f"{char} in a regular expression (the character itself is \\{char})", place)
        elif char in ".*+?|":
            out.append(char)
        elif char == "@":
            out.append(_ANYTHING)
        elif char == "#":
            out.append(_NOTHING)
        else:
            out.append(_literal(char))
    if level:
        raise invalid("a regular expression with a ( that does not end", place)
    return "".join(out)


def _literal(char: str) -> str:
    return f"\\{char}" if char in _SPECIAL else char


def _escape(char: str) -> str:
    return f"\\{char}" if char in _CLASSES else _literal(char)


def _class(text: str, at: int, place: Place) -> tuple[str, int]:
    """(the class that begins here, where it ends). Characters of a class are few that Rust reads otherwise."""
    out = ["["]
    if text[at : at + 1] == "^":
        out.append("^")
        at += 1
    first = True
    while at < len(text):
        char = text[at]
        at += 1
        if char == "]" and not first:
            return "".join((*out, "]")), at
        first = False
        if char == "\\" and at < len(text):
            out.append(_escape(text[at]))
            at += 1
        elif char == "-" and text[at : at + 1] not in ("]", "") and out[-1] not in ("[", "^"):
            out.append("-")
        else:
            out.append(_literal(char))
    raise invalid("a regular expression with a [ that does not end", place)

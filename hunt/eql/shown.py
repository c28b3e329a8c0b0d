"""Nodes as text again."""

from __future__ import annotations

import json

from hunt.eql.syntax import IS_NULL, And, Call, Compare, Field, Literal, Match, Node, Not, Or

_MOST = 12  # values of a list that are shown


def shown(node: Node) -> str:
    """A node as a query would write it; of long lists only the beginning."""
    match node:
        case Literal():
            return json.dumps(node.value, ensure_ascii=False)
        case Field():
            return f"?{node.name}" if node.optional else node.name
        case Call(name=name) if name == IS_NULL:
            return f"{shown(node.args[0])} == null"
        case Call():
            return f"{node.name}{'~' if node.insensitive else ''}({', '.join(map(shown, node.args))})"
        case Compare():
            return f"{shown(node.left)} {node.op} {shown(node.right)}"
        case Match():
            return f"{shown(node.subject)} {_word(node)} {_values(node)}"
        case Not():
            return f"not {shown(node.part)}"
        case And() | Or():
            word = " and " if isinstance(node, And) else " or "
            return f"({word.join(map(shown, node.parts))})"


def _word(node: Match) -> str:
    return ":" if node.kind == "like" and node.insensitive else node.kind + "~" * node.insensitive


def _values(node: Match) -> str:
    some = [shown(value) for value in node.values[:_MOST]]
    more = len(node.values) - len(some)
    text = ", ".join(some) + (f" and {more} more" if more else "")
    return text if len(node.values) == 1 and node.kind != "in" else f"({text})"

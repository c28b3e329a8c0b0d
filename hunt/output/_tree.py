"""Trees of processes for people, by rich; without colours in a pipe, in ASCII where a code page has no lines."""

from __future__ import annotations

from typing import Any, TextIO

from rich.text import Text
from rich.tree import Tree

from hunt.output._console import Page
from hunt.output._deed import name, short, text
from hunt.trees import Node

_WIDTH = 160  # columns of what is no terminal
_INDENT, _ROOM = 4, 40  # columns of a generation; of what stands at its end: a deep tree is wider than a terminal


def write(trees: tuple[Node, ...], out: TextIO) -> None:
    """One below the other, under the name of its host."""
    console = Page(out, None if out.isatty() else _WIDTH)
    console.width = max(console.width, *(_INDENT * _depth(tree) + _ROOM for tree in trees), 0)
    for number, tree in enumerate(trees):
        if number:
            console.print()
        host = next((text(node.process, "host") for node in _all(tree) if node.process["host"]), "host unknown")
        root = Tree(Text(host, "bold"), guide_style="dim")
        _add(root, tree)
        console.print(root, soft_wrap=False)


def _depth(node: Node) -> int:
    return 1 + max((_depth(child) for child in node.children), default=0)


def _all(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in _all(child))]


def _add(tree: Tree, node: Node) -> None:
    branch = tree.add(_label(node))
    for child in node.children:
        _add(branch, child)
    if node.left:
        branch.add(Text(f"and {node.left} more", "yellow"))


def _label(node: Node) -> Text:
    row = node.process
    label = Text()
    if node.edge:
        label.append(f"asked for, {_how(node.edge)}\n", "magenta")
    label.append(name(row, "image", "pid"), "bold reverse" if node.asked else "bold")
    label.append(f"  {_lifetime(row)}", "dim")
    if row["user"]:
        label.append(f"  {text(row, 'user')}")
    if row["guid"]:
        label.append(f"  {text(row, 'guid')}", "dim")
    if row["command_line"]:
        label.append(f"\n$ {short(text(row, 'command_line'))}", "dim")
    if node.perhaps:
        label.append(f"\n{_perhaps(node.perhaps)}", "yellow")
    return label


def _lifetime(row: dict[str, Any]) -> str:
    """`2026-03-02 09:00:00.000 to 09:10:00.000`; ~ before a start that only the GUID tells."""
    start, end = row["start"], row["end"]
    if start is None:
        return "its start was not logged"
    about = "~" if row["start_source"] == "guid" else ""
    begun = f"{about}{start:%Y-%m-%d %H:%M:%S}" + ("" if about else f".{start.microsecond // 1000:03}")
    if end is None:
        return f"{begun}, end unknown"
    day = f"{end:%H:%M:%S}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{begun} to {day}.{end.microsecond // 1000:03}"


def _how(edge: dict[str, Any]) -> str:
    """`grade A, COM, 2 others fit as well; logged parent: svchost.exe (812)`."""
    rivals = edge["competitors"] or 0
    others = f", {rivals} other{'s' * (rivals != 1)} of this grade" if rivals else ""
    return f"grade {text(edge, 'grade')}, {text(edge, 'mechanism')}{others}; logged parent: {_logged(edge)}"


def _perhaps(told: dict[str, Any]) -> str:
    if told["grade"] is None:
        address = f" ({text(told, 'source_address')})" if told["source_address"] else ""
        far = f" from another machine{address}" if told["locality"] == "remote" else ""
        return f"started by a broker ({text(told, 'mechanism')}){far}: who asked for it is unknown"
    rivals = told["competitors"] or 0
    others = f", {rivals} other{'s' * (rivals != 1)} of this grade" if rivals else ""
    who = name(told, "requester_image", "requester_pid")
    return f"perhaps asked for by {who}: grade {text(told, 'grade')}, {text(told, 'mechanism')}{others}"


def _logged(told: dict[str, Any]) -> str:
    known = told["parent_image"] or told["parent_pid"] is not None
    return name(told, "parent_image", "parent_pid") if known else "not named"

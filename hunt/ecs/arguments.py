r"""Command lines into arguments, as Windows' own CommandLineToArgvW does it.

The program's name ends at its closing quote, or else at the first blank, and knows no escapes. After it blanks (space,
tab) separate, quotes group, 2n backslashes before a quote are n, 2n+1 are n and a literal quote, and of three quotes in
a row one is literal. See: https://learn.microsoft.com/windows/win32/api/shellapi/nf-shellapi-commandlinetoargvw
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import polars as pl

from hunt.ecs.fields import Field, made
from hunt.ecs.values import text
from hunt.schema import TEXTS

_PROGRAM = r'(?s)^("[^"]*"?|[^" \t][^ \t]*|)'
# Neither escapes nor quotes in a row: quotes just open and close.
_HARD = r'[\\"]"'
_ARGUMENT = r'(?s)(?:[^ \t"]+|"[^"]*"?)+'
_BLANKS = re.compile(r"[ \t]+")


def fields(prefix: str, *columns: str, line: Callable[..., pl.Expr] = text) -> Iterator[tuple[str, Field]]:
    """`args` and `args_count`; `line`: how the command line is read from the columns."""
    yield f"{prefix}.args", made(lambda *names: split(line(*names)), *columns, many=True)
    yield f"{prefix}.args_count", made(lambda *names: split(line(*names)).list.len(), *columns, type="number")


def split(line: pl.Expr) -> pl.Expr:
    """Arguments of command lines (List of String); null where there is no line."""
    return line.map_batches(_split, return_dtype=TEXTS, is_elementwise=True)


def _split(lines: pl.Series) -> pl.Series:
    """Each distinct line once: logs repeat most of theirs."""
    parts = (
        lines.drop_nulls().unique().to_frame("line").with_columns(pl.col("line").str.extract(_PROGRAM).alias("head"))
    )
    quoted = pl.col("head").str.starts_with('"')
    parts = parts.select(
        "line",
        pl.when(quoted).then(pl.col("head").str.replace_all('"', "", literal=True)).otherwise("head").alias("head"),
        pl.col("line").str.strip_prefix(pl.col("head")).str.strip_chars_start(" \t").alias("rest"),
    )
    hard = parts["rest"].str.contains(_HARD)
    spelled = pl.Series("rest", [_arguments(text) for text in parts.filter(hard)["rest"]], dtype=TEXTS)
    easy = parts.filter(~hard).with_columns(pl.col("rest").str.extract_all(_ARGUMENT).list.eval(_unquoted()))
    known = pl.concat([easy, parts.filter(hard).with_columns(spelled)])
    whole = known.select("line", pl.concat_list("head", "rest").alias("arguments"))
    return (
        lines.to_frame("line").join(whole, on="line", how="left", maintain_order="left")["arguments"].alias(lines.name)
    )


def _unquoted() -> pl.Expr:
    return pl.element().str.replace_all('"', "", literal=True)


def _arguments(rest: str) -> list[str]:
    """The arguments behind the program's name: from quote to quote, in time that grows with the length alone."""
    found: list[str] = []
    current: list[str] | None = None
    quotes = 0  # that are open: of two the second closes, of three in a row the third is literal
    parts = rest.split('"')  # between quotes; an empty one stands between two in a row
    for number, part in enumerate(parts):
        plain = part.rstrip("\\") if number < len(parts) - 1 else part
        if part:
            quotes %= 2
            first, *others = [plain] if quotes else _BLANKS.split(plain)
            if first:
                current = current or []
                current.append(first)
            for other in others:
                if current is not None:
                    found.append("".join(current))
                current = [other] if other else None
        if number < len(parts) - 1:
            slashes = len(part) - len(plain)
            quotes += 1 - slashes % 2
            literals, quotes = divmod(quotes, 3)
            current = current or []
            current.append("\\" * (slashes // 2) + '"' * (slashes % 2 + literals))
    return found if current is None else [*found, "".join(current)]

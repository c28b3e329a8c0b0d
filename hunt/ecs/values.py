r"""Expressions that make values of ECS fields out of columns: texts, numbers, paths, hashes.

What Elastic's pipelines take for absent is null: "", "-" and the null GUID.
"""

from __future__ import annotations

from typing import Final

import polars as pl

ABSENT: Final = ("", "-")
_MAPPED = r"^\[?::[fF]{4}:([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)(?:\](?::[0-9]+)?)?$"


def present(value: pl.Expr) -> pl.Expr:
    """A text that says something."""
    return pl.when(value.is_in(ABSENT).not_()).then(value)


def text(column: str) -> pl.Expr:
    return present(pl.col(column))


def first(*columns: str) -> pl.Expr:
    """The first of these that is there: Sysmon spells some fields in two ways."""
    return pl.coalesce(text(column) for column in columns)


def lower(column: str) -> pl.Expr:
    return text(column).str.to_lowercase()


def number(*columns: str) -> pl.Expr:
    return pl.coalesce(pl.col(column).cast(pl.Int64, strict=False) for column in columns)


def decimal(column: str) -> pl.Expr:
    """A number that stands as text."""
    return pl.col(column).str.strip_chars().cast(pl.Int64, strict=False)


def truth(column: str) -> pl.Expr:
    """true, True, 1 and their opposites."""
    word = pl.col(column).str.to_lowercase()
    return pl.when(word.is_in(["true", "1"])).then(pl.lit(value=True)).when(word.is_in(["false", "0"])).then(
        pl.lit(value=False)
    )  # fmt: skip


def equals(column: str, value: str) -> pl.Expr:
    return text(column) == value


def address(*columns: str) -> pl.Expr:
    """An IP address; one of IPv4 that is written as IPv6 (::ffff:1.2.3.4) as IPv4."""
    return unmapped(first(*columns))


def unmapped(value: pl.Expr) -> pl.Expr:
    return value.str.replace(_MAPPED, "$1")


def name_of(path: pl.Expr) -> pl.Expr:
    """What stands after the last separator of a path."""
    return present(path.str.extract(r"([^\\/]*)$"))


def folder_of(path: pl.Expr) -> pl.Expr:
    """What stands before the last separator of a path, without it."""
    return present(path.str.extract(r"(?s)^(.*)[\\/]"))


def extension_of(path: pl.Expr) -> pl.Expr:
    """What stands after the last dot of the name."""
    return present(path.str.extract(r"\.([^.\\/]*)$"))


def base_name(*columns: str) -> pl.Expr:
    return name_of(first(*columns))


def folder(column: str) -> pl.Expr:
    return folder_of(text(column))


def extension(column: str) -> pl.Expr:
    return extension_of(text(column))


def entity(*columns: str) -> pl.Expr:
    """A ProcessGuid with its host, which compares without case: cloned machines share the GUIDs' prefix."""
    return qualified(pl.col("host"), first(*columns))


def qualified(host: pl.Expr, guid: pl.Expr) -> pl.Expr:
    return pl.concat_str(host.str.to_lowercase(), guid, separator="/")


def digest(algorithm: str, *columns: str) -> pl.Expr:
    """One of Sysmon's hashes (`SHA1=...,MD5=...`), in lower case."""
    pattern = rf"(?i)(?:^|,)\s*{algorithm}=([0-9a-f]+)\s*(?:,|$)"
    return first(*columns).str.extract(pattern).str.to_lowercase()

"""Which programs run what others wrote, and so may drive COM by themselves: who must not be lost in a crowd.

Names are those of the file, or those that its version information tells: a copy under another name says them as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

SCRIPT_HOSTS = tuple(
    f"{name}.exe" for name in ("rundll32", "mshta", "powershell", "pwsh", "cmd", "regsvr32", "cscript", "wscript")
)
# What the eight say of themselves, in lower case, as Windows 7 to 11 and PowerShell 5 to 7 have it.
ORIGINAL_NAMES = frozenset({*SCRIPT_HOSTS, "pwsh.dll"})
DESCRIPTIONS = frozenset(
    {
        "windows command processor",
        "microsoft ® console based script host",
        "microsoft ® windows based script host",
        "microsoft (r) html application host",
        "windows powershell",
        "pwsh",
        "powershell 7",
        "microsoft(c) register server",
        "windows host process (rundll32)",
    }
)
# Others that run code of whoever asks.
_HOSTS_OF_CODE = (
    "powershell_ise|wsmprovhost|wmiprvse|winword|excel|powerpnt|msaccess|mspub|visio|onenote|msbuild|installutil|"
    "regasm|regsvcs|csc|pythonw?|w3wp|sqlservr|sqlagent|sqlps|javaw?|node|wmic|dllhost|hh|msiexec|forfiles"
)


def _either(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names))


def _named(names: str) -> str:
    return rf"(?i-u:(?:^|[\\/])(?:{names})$)"


_SCRIPT_HOST = _named(_either(SCRIPT_HOSTS))
_ORIGINAL = rf"(?i-u:^(?:{_either(ORIGINAL_NAMES)})(?:\.mui)?$)"
_HOST_OF_CODE = _named(rf"(?:{_HOSTS_OF_CODE})\.exe")
# Where nobody but an administrator writes. What lies elsewhere may be anybody's program.
_INSTALLED = r"(?i-u:^(?:\\\\\?\\)?[a-z]:\\(?:windows|program files|program files \(x86\))\\)"


def script_host() -> pl.Expr:
    """Whether a process of `case.processes` is a script host, under whatever name."""
    told = pl.col("original_file_name").str.contains(_ORIGINAL)
    described = pl.col("description").str.to_lowercase().str.strip_chars().is_in(DESCRIPTIONS)
    return pl.any_horizontal(
        known.fill_null(value=False) for known in (pl.col("image").str.contains(_SCRIPT_HOST), told, described)
    )


def other_driver() -> pl.Expr:
    """Whether it runs other code than its own, or lies where neither Windows nor programs are installed."""
    image = pl.col("image")
    foreign = ~image.str.contains(_INSTALLED).fill_null(value=False)
    return image.str.contains(_HOST_OF_CODE).fill_null(value=False) | foreign


def drivers(known: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """(which are script hosts, which are other drivers) of many rows: image, original_file_name, description."""
    distinct = known.unique()
    judged = distinct.with_columns(script_host().alias("script"), other_driver().alias("other"))
    told = known.join(judged, on=known.columns, how="left", nulls_equal=True, maintain_order="left")
    return told["script"], told["other"]

r"""Registry paths and values as Sysmon writes them: `HKLM\Software\x\Value`, `DWORD (0x00000001)`."""

from __future__ import annotations

import polars as pl

from hunt.ecs.values import present, text

_HIVES = {
    "HKEY_CLASSES_ROOT": "HKCR",
    "HKEY_CURRENT_CONFIG": "HKCC",
    "HKEY_CURRENT_USER": "HKCU",
    "HKEY_DYN_DATA": "HKDD",
    "HKEY_LOCAL_MACHINE": "HKLM",
    "HKEY_PERFORMANCE_DATA": "HKPD",
    "HKEY_USERS": "HKU",
    "MACHINE": "HKLM",  # the kernel's names: \REGISTRY\MACHINE, \REGISTRY\USER
    "USER": "HKU",
}
_SHORT = {short: short for short in _HIVES.values()}
_WHOLE = r"(?is)^(?:\\REGISTRY\\(MACHINE|USER)|([A-Z_]+))(?:\\(.*))?$"
_DWORD = r"(?i)^DWORD \(0x([0-9a-f]{8})\)$"
_QWORD = r"(?i)^QWORD \(0x([0-9a-f]{8})-0x([0-9a-f]{8})\)$"
_BINARY = "Binary Data"  # Sysmon does not log what it is


def hive(path: str) -> pl.Expr:
    """HKLM, HKU ...; null where the path does not begin with one."""
    found = text(path).str.extract_groups(_WHOLE).struct
    named = pl.coalesce(found.field("1"), found.field("2")).str.to_uppercase()
    return named.replace_strict(_HIVES | _SHORT, default=None, return_dtype=pl.String)


def key(path: str) -> pl.Expr:
    """The path below the hive."""
    return pl.when(hive(path).is_not_null()).then(present(text(path).str.extract(_WHOLE, 3)))


def value(path: str) -> pl.Expr:
    return present(text(path).str.extract(r"(?s)([^\\]*)$"))


def strings(details: str) -> pl.Expr:
    """The data, numbers in decimal."""
    told = text(details)
    dword = told.str.extract(_DWORD).str.to_integer(base=16, dtype=pl.UInt64, strict=False)
    halves = [told.str.extract(_QWORD, n).str.to_integer(base=16, dtype=pl.UInt64, strict=False) for n in (1, 2)]
    qword = halves[0] * 2**32 + halves[1]
    one = pl.coalesce(dword.cast(pl.String), qword.cast(pl.String), told)
    return pl.when(one.is_not_null()).then(pl.concat_list(one))


def type_of(details: str) -> pl.Expr:
    """As Elastic's pipeline names them."""
    told = text(details)
    return (
        pl.when(told.str.contains(_DWORD))
        .then(pl.lit("SZ_DWORD"))
        .when(told.str.contains(_QWORD))
        .then(pl.lit("SZ_QWORD"))
        .when(told == _BINARY)
        .then(pl.lit("REG_BINARY"))
        .when(told.is_not_null())
        .then(pl.lit("REG_SZ"))
    )

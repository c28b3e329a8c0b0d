"""Fields that a rule reads and no event has as such: made out of others, so that one rule reads several kinds of logs.

Sources: Microsoft's documentation of Security 4657, 4688, 4689 and 5156; their %% codes are in msobjs.dll.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from hunt import schema
from hunt.lineage.security import INTEGRITY


@dataclass(frozen=True, slots=True)
class Derived:
    """`make` gives texts or numbers, or lists of texts: a test is met if one of them meets it."""

    columns: tuple[str, ...]  # what it reads; the first one is that without which it has no value
    make: Callable[[], pl.Expr]
    hexadecimal: bool = False  # numbers that Windows prints so


def _account(domain: str, user: str) -> pl.Expr:
    """DOMAIN\\user as Sysmon prints it; "-" is what Windows prints for none."""
    return _named(domain) + "\\" + _named(user)


def _named(name: str) -> pl.Expr:
    return pl.when(~pl.col(name).is_in(["-", ""])).then(pl.col(name))


_SERVICE_ACCOUNTS = {
    "S-1-5-18": "NT AUTHORITY\\SYSTEM",
    "S-1-5-19": "NT AUTHORITY\\LOCAL SERVICE",
    "S-1-5-20": "NT AUTHORITY\\NETWORK SERVICE",
}


def _of(sid: str, domain: str, user: str) -> pl.Expr:
    """An account. The system's own has the machine's name in its fields; Sysmon prints NT AUTHORITY."""
    service = pl.col(sid).replace_strict(_SERVICE_ACCOUNTS, default=None, return_dtype=pl.String)
    return pl.coalesce(service, _account(domain, user), _named(user))


def _started_user() -> pl.Expr:
    """Whose the new process is: the target, where it is told (version 2 of the event), else who started it."""
    # S-1-0-0, nobody: the process has the user of its creator.
    target = pl.when(pl.col("TargetUserSid") != "S-1-0-0").then(_of("TargetUserSid", "TargetDomainName", _TARGET))
    return pl.coalesce(target, _of("SubjectUserSid", "SubjectDomainName", "SubjectUserName"))


_TARGET = "TargetUserName"
_SUBJECT = ("SubjectUserName", "SubjectDomainName", "SubjectUserSid")
# What a mandatory label says, in Sysmon's words.
_INTEGRITY = {**INTEGRITY, "S-1-16-20480": "Protected"}


def _integrity() -> pl.Expr:
    """The word, and the label itself: rules ask for either."""
    label = pl.col("MandatoryLabel")
    word = label.replace_strict(_INTEGRITY, default=None, return_dtype=pl.String)
    return pl.concat_list(word, label).list.drop_nulls()


def _started_logon() -> pl.Expr:
    own = pl.when(pl.col("TargetLogonId") != 0).then("TargetLogonId")
    return pl.coalesce(own, "SubjectLogonId")


def _target_object() -> pl.Expr:
    """A value's path as Sysmon prints it, from the kernel's."""
    name = pl.col("ObjectName")
    hive = (
        name.str.replace(r"(?i)^\\REGISTRY\\MACHINE\\", "HKLM\\")
        .str.replace(r"(?i)^\\REGISTRY\\USER\\", "HKU\\")
        .str.replace(r"(?i)^(HKLM\\SYSTEM\\)(?:ControlSet00\d)\\", "${1}CurrentControlSet\\")
    )
    return hive + "\\" + pl.col("ObjectValueName").fill_null("")


def _details() -> pl.Expr:
    """A value as Sysmon prints it: numbers as DWORD (0x00000001)."""
    text, kind = pl.col("NewValue"), pl.col("NewValueType")
    number = text.str.to_integer(strict=False)

    def printed(digits: int) -> pl.Expr:
        return number.map_elements(lambda n: f"(0x{n % (1 << 64):0{digits}x})", return_dtype=pl.String)

    quad = pl.when(kind == "%%1883").then(pl.lit("QWORD ") + printed(16))
    return pl.when(kind == "%%1876").then(pl.lit("DWORD ") + printed(8)).otherwise(pl.coalesce(quad, text))


def _of_classic(name: str) -> pl.Expr:
    """A line NAME=value of what the classic PowerShell log says as one text."""
    told = pl.col(schema.DATA).list.join("\n", ignore_nulls=True)
    return pl.coalesce(told, "RenderingInfo.Message").str.extract(rf"(?m)^[ \t]*{name}=([^\r\n]*)")


def _hash(name: str) -> pl.Expr:
    return pl.coalesce("Hashes", "Hash").str.extract(rf"(?i)(?:^|,){name}=([0-9a-f]+)")


def _word(name: str, words: Mapping[str, str]) -> pl.Expr:
    return pl.col(name).replace_strict(words, default=pl.col(name), return_dtype=pl.String)


CLASSIC_FIELDS = (
    *("HostApplication", "HostName", "HostVersion", "HostId", "EngineVersion", "RunspaceId", "PipelineId"),
    *("CommandName", "CommandType", "ScriptName", "CommandPath", "CommandLine", "NewEngineState"),
    *("PreviousEngineState", "ProviderName", "UserId"),
)

_HASHES = ("md5", "sha1", "sha256", "imphash")

DERIVED: Mapping[str, Derived] = {
    "=started.user": Derived((*_SUBJECT, "TargetUserSid", _TARGET, "TargetDomainName"), _started_user),
    "=started.integrity": Derived(("MandatoryLabel",), _integrity),
    "=started.pid": Derived(("NewProcessId",), lambda: pl.col("NewProcessId")),
    "=started.ppid": Derived(("ProcessId",), lambda: pl.col("ProcessId")),
    "=started.logon": Derived(("SubjectLogonId", "TargetLogonId"), _started_logon, hexadecimal=True),
    "=subject.user": Derived(_SUBJECT, lambda: _of("SubjectUserSid", "SubjectDomainName", "SubjectUserName")),
    "=value.target": Derived(("ObjectName", "ObjectValueName"), _target_object),
    "=value.details": Derived(("NewValue", "NewValueType"), _details),
    "=value.event": Derived(
        ("OperationType",),
        lambda: _word("OperationType", {"%%1904": "SetValue", "%%1905": "SetValue", "%%1906": "DeleteValue"}),
    ),
    "=filtered.initiated": Derived(("Direction",), lambda: _word("Direction", {"%%14592": "false", "%%14593": "true"})),
    "=filtered.protocol": Derived(("Protocol",), lambda: _word("Protocol", {"6": "tcp", "17": "udp"})),
    **{f"=hash.{name}": Derived(("Hashes", "Hash"), partial(_hash, name)) for name in _HASHES},
    **{
        f"=classic.{name}": Derived((schema.DATA, "RenderingInfo.Message"), partial(_of_classic, name))
        for name in CLASSIC_FIELDS
    },
}

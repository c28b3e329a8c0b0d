"""ECS fields of the Security channel, as Elastic's ingest pipeline makes them of Windows' audit events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import polars as pl

from hunt import schema
from hunt.ecs import arguments, parents
from hunt.ecs.event_data import rendered
from hunt.ecs.fields import Field, Fields, made
from hunt.ecs.security_events import ids
from hunt.ecs.values import address, base_name, decimal, extension, number, present, text
from hunt.lineage.security import INTEGRITY

# Which events Elastic's pipeline takes what from, less those that have no such field.
_SUBJECT = ids(
    "1102 4648 4657 4662 4670 4672-4674 4688 4689 4697-4702 4706 4707 4713 4716-4720 4722-4735 4737-4764 4767 4781 "
    "4797-4799 4817 4904 4905 4907 4912 5136 5140 5145 5379-5382"
)
_TARGET = ids("4624 4625 4634 4647 4768-4771 4776 4964")
_CHANGED = ids("4720 4722-4726 4738 4740 4767 4797 4798")
_EFFECTIVE = ids("4648 4688")
_GROUP = ids("4727-4735 4737 4744-4764 4799")
_COMPUTER = ids("4741-4743")
_SHARE = ids("5140 5145")
_SERVICE = ids("4697 4768-4771")
# 4656, 4657, 4663 and 4703 name their process as well; the pipeline leaves it under its own name.
_CALLER = ids("4624 4625 4648 4656 4657 4663 4670 4673 4674 4689 4703 4904 4905 4907")
_CLIENT = ids("4624 4625 4648 4768-4771 5140 5145")
_WORKSTATION = ids("4624 4625")
_TYPED = ids("4624 4625 4627 4634")
_TARGET_LOGON = ids("4634 4647 4964")
_SUBJECT_LOGON = _SUBJECT | ids("4624 4625 4627 4656 4661 4663 4703 4794 4826 4985 5137 5141 5142")
# By event id, what an account lacks there.
_NO_SID = ids("4648 4769 4770 4776 4797")
_NO_DOMAIN = ids("4771 4776")
_LOGON_TYPES = {
    "2": "Interactive",
    "3": "Network",
    "4": "Batch",
    "5": "Service",
    "7": "Unlock",
    "8": "NetworkCleartext",
    "9": "NewCredentials",
    "10": "RemoteInteractive",
    "11": "CachedInteractive",
}
_SERVICE_TYPES = {
    "0x1": "Kernel Driver",
    "0x2": "File System Driver",
    "0x8": "Recognizer Driver",
    "0x10": "Win32 Own Process",
    "0x20": "Win32 Share Process",
    "0x110": "Interactive Own Process",
    "0x120": "Interactive Share Process",
}
# In Elastic Defend's words.
_INTEGRITY = {label: name.lower() for label, name in INTEGRITY.items()}
_SUCCESS, _FAILURE = 0x20000000000000, 0x10000000000000  # winmeta.xml: the keywords of audit events
# Ids that are written on one outcome alone, for exports without keywords: "Security auditing events", Microsoft.
_GOOD = ids("1102 4624 4634 4647 4648 4672 4688 4689 4697-4702 4719 4720 4722 4725 4726 4738 4741")
_ALWAYS = {**dict.fromkeys(_GOOD, "success"), **dict.fromkeys(ids("4625 4771"), "failure")}


def fields(event_id: int) -> Fields:
    """What an audit event has besides `hunt.ecs.common` and its fields under their own names."""
    found: dict[str, Field] = {}
    for part in (_outcome, _logon, _users, _others, _caller, _started, _share):
        found.update(part(event_id))
    return found


def _outcome(event_id: int) -> Iterator[tuple[str, Field]]:
    yield "event.outcome", made(partial(outcome, _ALWAYS.get(event_id)), "System.Keywords")


def outcome(known: str | None, keywords: str) -> pl.Expr:
    """success or failure, as the event's keywords have it, else as is `known` of the event's id."""
    bits = pl.col(keywords)
    return (
        pl.when((bits & pl.lit(_SUCCESS, pl.UInt64)) != 0)
        .then(pl.lit("success"))
        .when((bits & pl.lit(_FAILURE, pl.UInt64)) != 0)
        .then(pl.lit("failure"))
        .otherwise(pl.lit(known, pl.String))
    )


def _logon(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id in _TYPED:
        yield "winlog.logon.type", made(lambda c: _named(_LOGON_TYPES, pl.col(c).cast(pl.String)), "LogonType")
    if event_id in _TARGET_LOGON | _SUBJECT_LOGON:
        column = "TargetLogonId" if event_id in _TARGET_LOGON else "SubjectLogonId"
        yield "winlog.logon.id", made(lambda c: rendered(c, schema.Kind.HEX), column)


def _named(names: Mapping[str, str], value: pl.Expr) -> pl.Expr:
    return value.replace_strict(names, default=None, return_dtype=pl.String)


def _account(column: str) -> pl.Expr:
    """alice of alice@EXAMPLE.ORG, as Kerberos writes it."""
    return present(text(column).str.extract(r"(?s)^([^@]*)"))


def _users(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id in _SUBJECT:
        yield from _account_fields("user", "SubjectUserSid", "SubjectUserName", "SubjectDomainName")
    elif event_id in _TARGET:
        sid = "TargetSid" if event_id in (4768, 4771) else "TargetUserSid"
        yield from _target("user", event_id, sid)
    if event_id in _CHANGED:
        yield from _target("user.target", event_id, "TargetSid")
    if event_id in _EFFECTIVE:
        yield from _target("user.effective", event_id, "TargetUserSid")


def _target(prefix: str, event_id: int, sid: str) -> Iterator[tuple[str, Field]]:
    for name, one in _account_fields(prefix, sid, "TargetUserName", "TargetDomainName"):
        if event_id not in {f"{prefix}.id": _NO_SID, f"{prefix}.domain": _NO_DOMAIN}.get(name, ()):
            yield name, one


def _account_fields(prefix: str, sid: str, name: str, domain: str) -> Iterator[tuple[str, Field]]:
    yield f"{prefix}.id", made(text, sid)
    yield f"{prefix}.name", made(_account, name)
    yield f"{prefix}.domain", made(text, domain)


def _others(event_id: int) -> Iterator[tuple[str, Field]]:
    for codes, prefix in ((_GROUP, "group"), (_COMPUTER, "winlog.computerObject")):
        if event_id in codes:
            yield f"{prefix}.id", made(text, "TargetSid")
            yield f"{prefix}.name", made(text, "TargetUserName")
            yield f"{prefix}.domain", made(text, "TargetDomainName")
    if event_id in _GROUP:
        yield "user.target.name", made(_member, "MemberName")
    if event_id == 4781:
        yield "user.target.name", made(text, "OldTargetUserName")
        yield "user.changes.name", made(text, "NewTargetUserName")
    if event_id in _SERVICE:
        yield "service.name", made(text, "ServiceName")
    if event_id == 4697:
        yield "service.type", made(lambda column: _named(_SERVICE_TYPES, text(column)), "ServiceType")


def _member(column: str) -> pl.Expr:
    """The first name of a distinguished name, where commas may be escaped."""
    return present(text(column).str.extract(r"(?is)^(?:CN=)?((?:\\.|[^,\\])*)"))


def _caller(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id in _CALLER:
        yield "process.pid", made(number, "ProcessId", type="number")
        yield "process.executable", made(text, "ProcessName")
        yield "process.name", made(base_name, "ProcessName")
    if event_id in _CLIENT:
        yield "source.ip", made(address, "IpAddress", type="ip")
        yield "source.port", made(decimal, "IpPort", type="number")
    if event_id in _WORKSTATION:
        yield "source.domain", made(text, "WorkstationName")


def _started(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id != 4688:
        return
    yield "process.pid", made(number, "NewProcessId", type="number")
    yield "process.executable", made(text, "NewProcessName")
    yield "process.name", made(base_name, "NewProcessName")
    yield "process.parent.pid", made(number, "ProcessId", type="number")
    yield "process.parent.executable", made(text, "ParentProcessName")
    yield "process.parent.name", made(base_name, "ParentProcessName")
    yield "process.command_line", made(text, "CommandLine")
    yield from arguments.fields("process", "CommandLine")
    yield "process.Ext.token.integrity_level_name", made(lambda c: _named(_INTEGRITY, text(c)), "MandatoryLabel")
    yield from parents.of_start("NewProcessId").items()


def _share(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id not in _SHARE:
        return
    yield "file.name", made(text, "RelativeTargetName")
    yield "file.extension", made(extension, "RelativeTargetName")
    yield "file.directory", made(text, "ShareLocalPath")
    yield "file.path", made(_below, "ShareLocalPath", "RelativeTargetName")
    yield "file.target_path", made(_below, "ShareName", "RelativeTargetName")


def _below(folder: str, name: str) -> pl.Expr:
    return pl.concat_str(text(folder), text(name), separator="\\")

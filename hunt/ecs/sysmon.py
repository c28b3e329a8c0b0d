"""ECS fields of Sysmon's events, as Elastic's ingest pipelines make them, with aliases for what Elastic Defend has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import polars as pl

from hunt.ecs import arguments, dns, parents, process_files, registry, users
from hunt.ecs.common import common
from hunt.ecs.event_data import of_columns
from hunt.ecs.fields import Field, Fields, constant, made
from hunt.ecs.sysmon_events import COLUMNS, EVENTS
from hunt.ecs.values import (
    address,
    base_name,
    digest,
    entity,
    equals,
    extension,
    first,
    folder,
    lower,
    number,
    text,
    truth,
)
from hunt.model import SYSMON, EventType

_PROCESS = (1, 2, 3, 5, 7, 9, *range(11, 16), 17, 18, *range(22, 30))  # name their process by ProcessGuid
_FILE = (2, 11, 15, 23, 26, 27, 28, 29)
_USER = (1, 2, 3, 5, 7, 9, 11, 12, 13, 14, 15, *range(17, 30))
_REGISTRY = (12, 13, 14)
_OF_PROCESS = (1, 23, 24, 26)  # whose hashes Elastic gives to the process
_OF_FILE = (6, 7, 15, 23, 26, 27, 28, 29)
_ALGORITHMS = {"hash.md5": "MD5", "hash.sha1": "SHA1", "hash.sha256": "SHA256", "hash.sha512": "SHA512"}
_PE = {
    "pe.company": "Company",
    "pe.description": "Description",
    "pe.file_version": "FileVersion",
    "pe.original_file_name": "OriginalFileName",
    "pe.product": "Product",
}


def fields(event_id: int) -> Fields:
    """By ECS name; empty for an event that Sysmon has not."""
    if event_id not in EVENTS:
        return {}
    columns = COLUMNS[event_id]
    found = dict(common(EventType(SYSMON, event_id), "sysmon", "windows.sysmon_operational"))
    found["event.provider"] = found["winlog.provider_name"] = constant("Microsoft-Windows-Sysmon")
    for part in (_event, _process, _parent, _file, _user, _network, _registry, _dns, _deleted):
        found.update(part(event_id))
    found |= of_columns(EventType(SYSMON, event_id), columns)
    return found


def _event(event_id: int) -> Iterator[tuple[str, Field]]:
    event = EVENTS[event_id]
    for name, values in (("category", event.category), ("type", event.type), ("action", event.action)):
        if values:
            yield f"event.{name}", constant(*values, many=True)
    if event_id in (27, 255):
        yield "event.outcome", constant("failure")
    if "RuleName" in COLUMNS[event_id]:
        yield "rule.name", made(text, "RuleName")


def _process(event_id: int) -> Iterator[tuple[str, Field]]:
    guid: tuple[str, ...]
    if event_id in (8, 10):
        guid, pid, image = ("SourceProcessGuid", "SourceProcessGUID"), "SourceProcessId", "SourceImage"
    elif event_id in _PROCESS:
        guid, pid, image = ("ProcessGuid",), "ProcessId", "Image"
    elif event_id == 20:  # the consumer's program, as Elastic has it
        yield "process.executable", made(text, "Destination")
        yield "process.name", made(base_name, "Destination")
        return
    else:
        return
    yield "process.entity_id", made(entity, *guid)
    yield "process.pid", made(number, pid, type="number")
    yield "process.executable", made(text, image)
    yield "process.name", made(base_name, image)
    yield from process_files.of_events(event_id, guid, image).items()
    if event_id == 10:
        yield "process.thread.id", made(number, "SourceThreadId", type="number")
    if event_id in _OF_PROCESS:
        yield from _hashes("process", "Hashes")
    if event_id == 1:
        yield from _started()


def _started() -> Iterator[tuple[str, Field]]:
    yield "process.command_line", made(text, "CommandLine")
    yield "process.working_directory", made(text, "CurrentDirectory")
    yield "process.Ext.token.integrity_level_name", made(lower, "IntegrityLevel")
    yield from arguments.fields("process", "CommandLine")
    yield from _pe("process")
    yield from parents.of_start("ProcessId", "ProcessGuid").items()
    yield from process_files.AGES.items()


def _parent(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id != 1:
        return
    yield "process.parent.entity_id", made(entity, "ParentProcessGuid")
    yield "process.parent.pid", made(number, "ParentProcessId", type="number")
    yield "process.parent.executable", made(text, "ParentImage")
    yield "process.parent.name", made(base_name, "ParentImage")
    yield "process.parent.command_line", made(text, "ParentCommandLine")
    yield from arguments.fields("process.parent", "ParentCommandLine")


def _pe(prefix: str) -> Iterator[tuple[str, Field]]:
    yield from ((f"{prefix}.{name}", made(text, column)) for name, column in _PE.items())


def _hashes(prefix: str, *columns: str) -> Iterator[tuple[str, Field]]:
    for name, algorithm in {**_ALGORITHMS, "pe.imphash": "IMPHASH"}.items():
        yield f"{prefix}.{name}", made(partial(digest, algorithm), *columns)


def _file(event_id: int) -> Iterator[tuple[str, Field]]:
    path = {6: "ImageLoaded", 7: "ImageLoaded", 9: "Device"}.get(event_id, "TargetFilename")
    if event_id in (6, 7, 9, *_FILE):
        yield from _path("file", path)
    if event_id in (17, 18):
        yield "file.name", made(text, "PipeName")
    if event_id in _OF_FILE:
        yield from _hashes("file", *(("Hashes", "Hash") if event_id == 15 else ("Hashes",)))
    if event_id in (6, 7):
        yield "file.code_signature.signed", made(truth, "Signed", type="boolean")
        yield "file.code_signature.status", made(text, "SignatureStatus")
        yield "file.code_signature.subject_name", made(text, "Signature")
        yield "file.code_signature.valid", made(lambda c: equals(c, "Valid"), "SignatureStatus", type="boolean")
        yield from _path("dll", path)
        yield from _hashes("dll", "Hashes")
        yield from process_files.loaded("dll")
    if event_id == 7:
        yield from _pe("file")
        yield from _pe("dll")


def _path(prefix: str, column: str) -> Iterator[tuple[str, Field]]:
    yield f"{prefix}.path", made(text, column)
    yield f"{prefix}.name", made(base_name, column)
    if prefix == "file":
        yield "file.directory", made(folder, column)
        yield "file.extension", made(extension, column)


def _user(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id not in _USER:
        return
    yield "user.domain", made(users.domain, "User")
    yield "user.name", made(users.name, "User")
    columns = ("User", "LogonId") if event_id == 1 else ("User",)
    yield "user.id", made(users.identifier, *columns)


def _network(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id != 3:
        return
    for side, prefix in (("source", "Source"), ("destination", "Destination")):
        yield f"{side}.ip", made(address, f"{prefix}Ip", type="ip")
        yield f"{side}.domain", made(text, f"{prefix}Hostname")
        yield f"{side}.port", made(number, f"{prefix}Port", type="number")
    yield "network.transport", made(lower, "Protocol")
    yield "network.protocol", made(first, "DestinationPortName", "SourcePortName")
    yield "network.direction", made(_either("egress", "ingress"), "Initiated")
    yield "network.type", made(_either("ipv6", "ipv4"), "SourceIsIpv6")


def _either(yes: str, no: str) -> Callable[[str], pl.Expr]:
    return lambda column: pl.when(truth(column)).then(pl.lit(yes)).when(~truth(column)).then(pl.lit(no))


def _registry(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id not in _REGISTRY:
        return
    yield "registry.path", made(text, "TargetObject")
    yield "registry.hive", made(registry.hive, "TargetObject")
    yield "registry.key", made(registry.key, "TargetObject")
    yield "registry.value", made(registry.value, "TargetObject")
    if event_id == 13:
        yield "registry.data.strings", made(registry.strings, "Details", many=True)
        yield "registry.data.type", made(registry.type_of, "Details")


def _dns(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id != 22:
        return
    yield "network.protocol", constant("dns")
    yield "dns.question.name", made(text, "QueryName")
    yield "dns.answers.data", made(dns.data, "QueryResults", many=True)
    yield "dns.answers.type", made(dns.types, "QueryResults", many=True)
    yield "dns.resolved_ip", made(dns.addresses, "QueryResults", type="ip", many=True)
    yield "sysmon.dns.status", made(dns.status, "QueryStatus")


def _deleted(event_id: int) -> Iterator[tuple[str, Field]]:
    if event_id in (23, 24):
        yield "sysmon.file.archived", made(truth, "Archived", type="boolean")
    if event_id in (23, 26, 28):
        yield "sysmon.file.is_executable", made(truth, "IsExecutable", type="boolean")

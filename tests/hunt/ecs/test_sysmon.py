"""ECS fields of Sysmon's events: every row of the map, on an event of every type."""

from __future__ import annotations

from functools import cache

import pytest

from hunt import ecs
from hunt.ecs.sysmon_events import COLUMNS
from hunt.events import Events
from hunt.model import SYSMON, EventType
from tests.hunt.ecs.built import EVENTS, A, B, of_sysmon, seen, shown, sysmon, whole

PROCESS = "1 2 3 5 7 9 11 12 13 14 15 17 18 22 23 24 25 26 27 28 29"
FILE = "2 11 15 23 26 27 28 29"
USER = "1 2 3 5 7 9 11 12 13 14 15 17 18 19 20 21 22 23 24 25 26 27 28 29"
HASHED = "6 7 15 27 28 29"
ALL = " ".join(map(str, EVENTS))

# Field, event ids, value: the map's tables over the events of `built`.
MAP: list[tuple[str, str, object]] = [
    ("event.module", ALL, "sysmon"),
    ("event.dataset", ALL, "windows.sysmon_operational"),
    ("data_stream.dataset", ALL, "windows.sysmon_operational"),
    ("event.provider", ALL, "Microsoft-Windows-Sysmon"),
    ("event.kind", ALL, "event"),
    ("host.os.type", ALL, "windows"),
    ("host.os.family", ALL, "windows"),
    ("host.os.platform", ALL, "windows"),
    ("host.name", ALL, "WS01"),
    ("host.hostname", ALL, "WS01"),
    ("host.id", ALL, "ws01"),
    ("agent.id", ALL, "ws01"),
    ("winlog.computer_name", ALL, "WS01"),
    ("winlog.channel", ALL, SYSMON),
    ("winlog.provider_name", ALL, "Microsoft-Windows-Sysmon"),
    ("destination.domain", "3", "srv"),
    ("destination.ip", "3", "192.0.2.7"),
    ("destination.port", "3", 443),
    ("dns.answers.data", "22", ["a.example.net", "192.0.2.1", "2001:db8::1"]),
    ("dns.answers.type", "22", ["CNAME", "A", "AAAA"]),
    ("dns.question.name", "22", "www.example.org"),
    ("dns.resolved_ip", "22", ["192.0.2.1", "2001:db8::1"]),
    ("event.outcome", "27 255", "failure"),
    ("file.code_signature.signed", "6 7", True),
    ("file.code_signature.status", "6 7", "Valid"),
    ("file.code_signature.subject_name", "6 7", "Corp Ltd"),
    ("file.code_signature.valid", "6 7", True),
    ("file.directory", FILE, r"C:\Users\bob"),
    ("file.directory", "6 7", r"C:\Dir"),
    ("file.directory", "9", r"\Device"),
    ("file.extension", FILE, "gz"),
    ("file.extension", "6 7", "dll"),
    ("file.extension", "9", "x"),
    ("file.hash.md5", HASHED, "cd02"),
    ("file.hash.sha1", HASHED, "ab01"),
    ("file.hash.sha256", HASHED, "ef03"),
    ("file.hash.sha512", HASHED, "0a04"),
    ("file.name", FILE, "x.tar.gz"),
    ("file.name", "6 7", "lib.dll"),
    ("file.name", "9", "HarddiskVolume2.x"),
    ("file.name", "17 18", r"\pipe"),
    ("file.path", FILE, r"C:\Users\bob\x.tar.gz"),
    ("file.path", "6 7", r"C:\Dir\lib.dll"),
    ("file.path", "9", r"\Device\HarddiskVolume2.x"),
    ("file.pe.company", "7", "Corp"),
    ("file.pe.description", "7", "A tool"),
    ("file.pe.file_version", "7", "1.2"),
    ("file.pe.imphash", HASHED, "0b05"),
    ("file.pe.original_file_name", "7", "one.exe"),
    ("file.pe.product", "7", "Tools"),
    ("network.direction", "3", "egress"),
    ("network.protocol", "3", "https"),
    ("network.protocol", "22", "dns"),
    ("network.transport", "3", "tcp"),
    ("network.type", "3", "ipv4"),
    ("process.args", "1", [r"C:\Dir\One.exe", "/a", "b c"]),
    ("process.args_count", "1", 3),
    ("process.command_line", "1", r'"C:\Dir\One.exe" /a "b c"'),
    ("process.entity_id", f"{PROCESS} 8 10", f"ws01/{A}"),
    ("process.executable", f"{PROCESS} 8 10", r"C:\Dir\One.exe"),
    ("process.executable", "20", r"C:\Dir\run.exe"),
    ("process.hash.md5", "1 23 24 26", "cd02"),
    ("process.hash.sha1", "1 23 24 26", "ab01"),
    ("process.hash.sha256", "1 23 24 26", "ef03"),
    ("process.hash.sha512", "1 23 24 26", "0a04"),
    ("process.name", f"{PROCESS} 8 10", "One.exe"),
    ("process.name", "20", "run.exe"),
    ("process.parent.args", "1", ["two.exe", "-x"]),
    ("process.parent.args_count", "1", 2),
    ("process.parent.command_line", "1", "two.exe -x"),
    ("process.parent.entity_id", "1", f"ws01/{B}"),
    ("process.parent.executable", "1", r"C:\Dir\Two.exe"),
    ("process.parent.name", "1", "Two.exe"),
    ("process.parent.pid", "1", 815),
    ("process.pe.company", "1", "Corp"),
    ("process.pe.description", "1", "A tool"),
    ("process.pe.file_version", "1", "1.2"),
    ("process.pe.imphash", "1 23 24 26", "0b05"),
    ("process.pe.original_file_name", "1", "one.exe"),
    ("process.pe.product", "1", "Tools"),
    ("process.pid", f"{PROCESS} 8 10", 4711),
    ("process.thread.id", "10", 7),
    ("process.working_directory", "1", "C:\\Dir\\"),
    ("registry.data.strings", "13", ["10"]),
    ("registry.data.type", "13", "SZ_DWORD"),
    ("registry.hive", "12 13 14", "HKLM"),
    ("registry.key", "12 13 14", r"Software\Corp\Key\Value"),
    ("registry.path", "12 13 14", r"HKLM\Software\Corp\Key\Value"),
    ("registry.value", "12 13 14", "Value"),
    ("rule.name", ALL.replace(" 4 ", " ").replace(" 16 ", " ").removesuffix(" 255"), "rule"),
    ("source.domain", "3", "ws01"),
    ("source.ip", "3", "10.0.0.1"),
    ("source.port", "3", 49200),
    ("sysmon.dns.status", "22", "SUCCESS"),
    ("sysmon.file.archived", "23", False),
    ("sysmon.file.archived", "24", True),
    ("sysmon.file.is_executable", "23 26 28", True),
    ("user.domain", USER, "CORP"),
    ("user.name", USER, "alice"),
    ("user.id", USER, r"S-1-5-21-corp\alice"),
    # Aliases of what Elastic Defend has.
    ("dll.code_signature.exists", "6 7", True),
    ("dll.code_signature.status", "6 7", ["Valid", "trusted"]),
    ("dll.code_signature.subject_name", "6 7", "Corp Ltd"),
    ("dll.code_signature.trusted", "6 7", True),
    ("dll.hash.sha256", "6 7", "ef03"),
    ("dll.name", "6 7", "lib.dll"),
    ("dll.path", "6 7", r"C:\Dir\lib.dll"),
    ("dll.pe.imphash", "6 7", "0b05"),
    ("dll.pe.original_file_name", "7", "one.exe"),
    ("process.Ext.token.integrity_level_name", "1", "high"),
    # The event's own fields, also those that Elastic removes.
    ("winlog.event_data.Image", PROCESS, r"C:\Dir\One.exe"),
    ("winlog.event_data.ProcessId", PROCESS, "4711"),
    ("winlog.event_data.UtcTime", ALL, "2026-03-02 08:15:01.000"),
    ("winlog.event_data.GrantedAccess", "10", "0x1fffff"),
    ("winlog.event_data.LogonId", "1", "0x53ca2"),
    ("winlog.event_data.TargetProcessGuid", "8", B),
    ("winlog.event_data.TargetProcessGUID", "10", B),
]


@cache
def one_of_each() -> Events:
    return whole(*map(sysmon, EVENTS))


@cache
def fields_of(event_id: int) -> dict[str, object]:
    return shown(one_of_each(), EventType(SYSMON, event_id)).row(0, named=True)


@pytest.mark.parametrize(("name", "ids", "value"), MAP, ids=lambda part: part if isinstance(part, str) else "")
def test_a_row_of_the_map(name: str, ids: str, value: object) -> None:
    assert {event_id: fields_of(event_id).get(name) for event_id in map(int, ids.split())} == dict.fromkeys(
        map(int, ids.split()), value
    )


def test_no_event_has_a_field_that_the_map_does_not_give_it() -> None:
    mapped = {name: {int(i) for row in MAP if row[0] == name for i in row[1].split()} for name, _, _ in MAP}
    mapped["file.hash.sha256"] |= {23, 26}  # the file's as well as, in Elastic's map, the process's
    for name in ("process.name", "process.entity_id", "user.name", "file.path", "file.hash.sha256", "registry.value"):
        assert {i for i in EVENTS if ecs.describe(EventType(SYSMON, i), name)} == mapped[name], name


CATEGORIES = {
    "process": "1 4 5 7 8 9 10 19 20 21 25 255",
    "file": "2 11 15 17 18 23 26 27 28 29",
    "network": "3 22",
    "driver": "6",
    "registry": "12 13 14",
    "configuration": "12 13 14 16",
    "library": "7",
}
TYPES = {
    "start": "1 3 6 7",
    "end": "5",
    "change": "2 4 7 8 12 13 14 16 20 24 25",
    "creation": "11 17 27 29",
    "deletion": "23 26 28",
    "access": "9 10 15 18 21",
    "connection": "3 22",
    "protocol": "3 22",
    "info": "19 22",
}
ACTIONS = {
    "start": "1",
    "end": "5",
    "load": "7",
    "Process creation": "1",
    "Image loaded": "7",
    "RegistryEvent (Value Set)": "13",
    "ProcessAccess": "10",
    "DNSEvent (DNS query)": "22",
    "FileDelete (File Delete archived)": "23",
    "Error": "255",
}


@pytest.mark.parametrize(("name", "values"), [("category", CATEGORIES), ("type", TYPES), ("action", ACTIONS)])
def test_what_kind_of_event_each_is(name: str, values: dict[str, str]) -> None:
    infos = {i: ecs.describe(EventType(SYSMON, i), f"event.{name}") for i in EVENTS}
    for value, ids in values.items():
        found = {i for i, info in infos.items() if info and info.constant and value in info.constant}
        assert found == set(map(int, ids.split())), value


def test_all_events_of_sysmon_are_mapped() -> None:
    assert {kind.event_id for kind in ecs.event_types() if kind.channel == SYSMON} == set(EVENTS)
    assert all(EVENTS[i].keys() - {"Hashes"} <= COLUMNS[i] for i in EVENTS)


def test_times_are_the_events_own() -> None:
    row = seen(sysmon(1, logged="2026-03-02 08:15:09"), "@timestamp", "event.created")
    assert [str(value) for value in row.values()] == ["2026-03-02 08:15:01+00:00", "2026-03-02 08:15:09+00:00"]


@pytest.mark.parametrize(
    ("details", "strings", "kind"),
    [
        ("DWORD (0xffffffff)", ["4294967295"], "SZ_DWORD"),
        ("QWORD (0x00000001-0x00000002)", ["4294967298"], "SZ_QWORD"),
        ("QWORD (0xffffffff-0xffffffff)", ["18446744073709551615"], "SZ_QWORD"),
        ("Binary Data", ["Binary Data"], "REG_BINARY"),
        (r"C:\x.exe", [r"C:\x.exe"], "REG_SZ"),
        ("DWORD (0x1)", ["DWORD (0x1)"], "REG_SZ"),
        ("", None, None),
    ],
)
def test_registry_data(details: str, strings: object, kind: object) -> None:
    assert of_sysmon(13, "registry.data.strings", Details=details) == strings
    assert of_sysmon(13, "registry.data.type", Details=details) == kind


@pytest.mark.parametrize(
    ("path", "hive", "key", "value"),
    [
        (r"HKU\S-1-5-21-1\Run", "HKU", r"S-1-5-21-1\Run", "Run"),
        (r"HKEY_LOCAL_MACHINE\A\B", "HKLM", r"A\B", "B"),
        (r"\REGISTRY\MACHINE\A\B", "HKLM", r"A\B", "B"),
        (r"\REGISTRY\USER\A", "HKU", "A", "A"),
        ("HKCR", "HKCR", None, "HKCR"),
        (r"Elsewhere\A", None, None, "A"),
        ("-", None, None, None),
    ],
)
def test_registry_paths(path: str, hive: object, key: object, value: object) -> None:
    names = ("registry.hive", "registry.key", "registry.value")
    assert [*seen(sysmon(12, TargetObject=path), *names).values()] == [hive, key, value]


@pytest.mark.parametrize(
    ("path", "folder", "name", "extension"),
    [
        (r"C:\a.b\c", r"C:\a.b", "c", None),
        (r"C:\x.txt", "C:", "x.txt", "txt"),
        ("C:/a/b.c", "C:/a", "b.c", "c"),
        ("bare.exe", None, "bare.exe", "exe"),
        ("C:\\a\\", "C:\\a", None, None),
        (r"C:\a.zip:Zone.Identifier", "C:", "a.zip:Zone.Identifier", "Identifier"),
        ("", None, None, None),
    ],
)
def test_paths(path: str, folder: object, name: object, extension: object) -> None:
    names = ("file.directory", "file.name", "file.extension")
    assert [*seen(sysmon(11, TargetFilename=path), *names).values()] == [folder, name, extension]


def test_connections_that_others_opened_are_ingress_and_those_without_a_word_neither() -> None:
    assert of_sysmon(3, "network.direction", Initiated="false") == "ingress"
    assert of_sysmon(3, "network.direction", Initiated="") is None
    assert of_sysmon(3, "network.type", SourceIsIpv6="true") == "ipv6"
    assert of_sysmon(3, "network.protocol", DestinationPortName="-", SourcePortName="http") == "http"


@pytest.mark.parametrize("value", ["", "-"])
def test_what_says_nothing_is_absent(value: str) -> None:
    row = seen(sysmon(1, CommandLine=value, Hashes=value, User=value, ParentImage=value, IntegrityLevel=value))
    for name in ("process.command_line", "process.args", "process.hash.md5", "user.name", "user.domain", "user.id"):
        assert row[name] is None, name
    assert row["process.parent.name"] is row["process.Ext.token.integrity_level_name"] is None
    assert row["winlog.event_data.CommandLine"] is None


def test_the_null_guid_is_absent() -> None:
    null = "{00000000-0000-0000-0000-000000000000}"
    assert of_sysmon(1, "process.parent.entity_id", ParentProcessGuid=null) is None
    assert of_sysmon(1, "winlog.event_data.ParentProcessGuid", ParentProcessGuid=null) is None


def test_a_dll_whose_signature_sysmon_could_not_check_is_neither_signed_nor_unsigned() -> None:
    names = ("dll.code_signature.exists", "dll.code_signature.trusted", "dll.code_signature.status")
    judged = {
        ("true", "Expired"): [True, False, ["Expired", "errorExpired"]],
        ("false", "Unavailable"): [False, None, ["Unavailable"]],
        ("true", "Unavailable"): [None, None, ["Unavailable"]],
        ("", ""): [None, None, None],
    }
    for (signed, status), expected in judged.items():
        assert [*seen(sysmon(7, Signed=signed, SignatureStatus=status), *names).values()] == expected

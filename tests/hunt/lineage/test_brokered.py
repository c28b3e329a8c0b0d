"""Which starts a broker performed for somebody."""

from __future__ import annotations

import pytest

from tests.helpers import OUTLOOK, case, event, moment, start
from tests.hunt.lineage.world import DCOM_LAUNCH, SVCHOST, SYSTEM, brokered, run


def mechanism(parent: str | None, parent_line: str | None, line: str = "x.exe -Embedding") -> str | None:
    child = start(OUTLOOK, ParentImage=parent, ParentCommandLine=parent_line, CommandLine=line)
    met = case(child).lineage.collect()["mechanism"].to_list()
    return met[0] if met else None


@pytest.mark.parametrize(
    "line",
    [
        "OUTLOOK.EXE -Embedding",
        "EXCEL.EXE /automation -Embedding",
        "x.exe /AUTOMATION",
        "App.exe -ServerName:App.AppX.mca",
        "DllHost.exe /Processid:{3E5FC7F9-9A51-4367-9063-A120244FBEC7}",
        "rundll32.exe shell32.dll,SHCreateLocalServerRunDll {9BA05972}",
    ],
)
def test_com_marks_what_it_starts(line: str) -> None:
    assert mechanism(SVCHOST, DCOM_LAUNCH, line) == "com"
    assert mechanism(SVCHOST, "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s BITS", line) is None


@pytest.mark.parametrize("line", ["cmd.exe", "x.exe -embeddings.txt-not", "RuntimeBroker.exe"])
def test_without_a_mark_the_start_is_direct(line: str) -> None:
    assert mechanism(SVCHOST, DCOM_LAUNCH, line) is None


@pytest.mark.parametrize("service", ["PlugPlay", "LSM", "plugplay"])
def test_other_services_of_the_group_start_for_themselves(service: str) -> None:
    assert mechanism(SVCHOST, f"{DCOM_LAUNCH} -s {service}") is None


@pytest.mark.parametrize("line", [None, "", "-", "?"])
def test_a_hidden_command_line_of_svchost_is_told_by_the_mark(line: str | None) -> None:
    assert mechanism(SVCHOST, line) == "com"
    assert mechanism(SVCHOST, line, "x.exe") is None


@pytest.mark.parametrize("parent", [None, "?", "-"])
def test_a_hidden_parent_is_told_by_the_mark(parent: str | None) -> None:
    assert mechanism(parent, parent) == "com"
    assert mechanism(parent, parent, "x.exe") is None


@pytest.mark.parametrize(
    ("parent", "parent_line", "expected"),
    [
        (f"{SYSTEM}wbem\\WmiPrvSE.exe", "wmiprvse.exe -secured -Embedding", "wmi"),
        (f"{SYSTEM}services.exe", None, "scm"),
        (SVCHOST, "svchost.exe -k netsvcs -p -s Schedule", "task"),
        (f"{SYSTEM}taskeng.exe", "taskeng.exe {1}", "task"),
        (SVCHOST, "svchost.exe -k netsvcs", "task_or_service"),
        (SVCHOST, "svchost.exe -k netsvcs -p", "task_or_service"),
        (SVCHOST, "svchost.exe -k netsvcs -p -s BITS", None),
        (SVCHOST, "svchost.exe -k LocalService", None),
        (f"{SYSTEM}wsmprovhost.exe", "wsmprovhost.exe -Embedding", "winrm"),
        (f"{SYSTEM}DLLHOST.EXE", "DllHost.exe /Processid:{3E5FC7F9}", "com_surrogate"),
        ("C:\\Windows\\explorer.exe", "explorer.exe /factory,{75dff2b7} -Embedding", "com_shell"),
        ("C:\\Windows\\explorer.exe", "explorer.exe", None),
        (f"{SYSTEM}notservices.exe", None, None),
        ("C:\\services.exe\\x.exe", None, None),
    ],
)
def test_other_brokers_are_known_by_their_image(parent: str, parent_line: str | None, expected: str | None) -> None:
    assert mechanism(parent, parent_line) == expected


def test_only_starts_that_were_logged_are_told() -> None:
    child = brokered()
    unlogged = {"ProcessGuid": child["ProcessGuid"], "ProcessId": "1", "Image": OUTLOOK}
    assert case(run(), event(3, 1, UtcTime=moment(1), **unlogged)).lineage.collect().height == 0

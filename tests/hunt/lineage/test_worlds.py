"""Small worlds made at random: lineage finds what plain loops find."""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hunt.events import Events
from hunt.lineage import NEEDS, READS
from tests.helpers import OUTLOOK, POWERSHELL, Row, batch, guid
from tests.hunt.lineage import naive
from tests.hunt.lineage.world import (
    DCOM,
    DCOM_LAUNCH,
    LOGON,
    OTHER_LOGON,
    SVCHOST,
    SYSTEM,
    loads,
    opens,
    over,
    run,
    script,
)

_LINES = ("x", "powershell -c Outlook.Application", "wmic process call create x", "sc start Evil", "cmd /c run")
_IMAGES = (POWERSHELL, f"{SYSTEM}cmd.exe", f"{SYSTEM}conhost.exe")
_BROKERED = (
    {"Image": OUTLOOK, "CommandLine": "OUTLOOK.EXE -Embedding", "ParentImage": SVCHOST,
     "ParentCommandLine": DCOM_LAUNCH},
    {"Image": f"{SYSTEM}dllhost.exe", "CommandLine": "DllHost.exe /Processid:{x}", "ParentImage": SVCHOST,
     "ParentCommandLine": DCOM_LAUNCH},
    {"Image": f"{SYSTEM}cmd.exe", "CommandLine": "cmd", "ParentImage": f"{SYSTEM}wbem\\WmiPrvSE.exe",
     "ParentCommandLine": "wmiprvse.exe", "ParentProcessGuid": guid(901, -3600)},
    {"Image": f"{SYSTEM}svc.exe", "CommandLine": "svc", "ParentImage": f"{SYSTEM}services.exe",
     "ParentCommandLine": "services.exe", "ParentProcessGuid": guid(902, -3600)},
)  # fmt: skip
_WHO = (
    {"LogonGuid": LOGON, "LogonId": "0x53ca2", "TerminalSessionId": "1"},
    {"LogonGuid": OTHER_LOGON, "LogonId": "0x99", "TerminalSessionId": "1"},
    {"LogonGuid": OTHER_LOGON, "LogonId": "0x99", "TerminalSessionId": "0", "User": r"CONTOSO\bob"},
)
_PLACE = st.sampled_from(("WS01", "ws01", "WS02"))
_QUARTER = st.integers(0, 300).map(lambda n: n / 4)  # of a second: 75 s, longer than the window


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    """Processes, brokered ones among them, and some of what may be logged of each."""
    times = draw(st.lists(_QUARTER, min_size=4, max_size=14, unique=True))
    processes: list[Row] = []
    for number, at in enumerate(sorted(times)):
        own: dict[str, Any] = {"host": draw(_PLACE), "ProcessId": str(4000 + number), **draw(st.sampled_from(_WHO))}
        if draw(st.booleans()):
            own |= {"ParentProcessGuid": DCOM, **draw(st.sampled_from(_BROKERED))}
        else:
            own |= {"Image": draw(st.sampled_from(_IMAGES)), "CommandLine": draw(st.sampled_from(_LINES))}
            near = [p for p in processes if p["host"].lower() == own["host"].lower()]
            if near and draw(st.booleans()):
                own["ParentProcessGuid"] = draw(st.sampled_from(near))["ProcessGuid"]
        processes.append(run(own.pop("Image"), at, **own))
    return [*processes, *(row for process in processes for row in draw(_told(process, processes)))]


@st.composite
def _told(draw: st.DrawFn, process: Row, processes: list[Row]) -> list[Row]:
    """What else is logged of a process."""
    at = float(naive.seconds(process["UtcTime"]) - naive.seconds("2026-03-02 08:15:00.0"))
    rows = []
    if draw(st.integers(0, 2)) == 0:
        rows.append(over(process, at + draw(st.integers(0, 40)) / 4))
    if draw(st.integers(0, 2)) == 0:
        rows.append(loads(process, at + draw(st.integers(0, 8)) / 4))
    if draw(st.integers(0, 3)) == 0:
        rows.append(script(process, at + draw(st.integers(0, 40)) / 4, draw(st.sampled_from(_LINES))))
    if process["ParentProcessGuid"] == DCOM:
        thread = draw(st.integers(1, 2))
        if draw(st.integers(0, 4)):
            rows.append(opens(process, at, "0x1fffff", thread))
        others = [p for p in processes if p["host"].lower() == process["host"].lower() and p is not process]
        if others and draw(st.booleans()):
            near = draw(st.sampled_from((0, 0.125, 0.25, 0.375)))
            rows.append(opens(draw(st.sampled_from(others)), at + near, thread=draw(st.integers(1, 2))))
    return rows


@given(worlds())
@settings(max_examples=15, phases=(Phase.generate,))  # a world takes its time: shrinking would take minutes
def test_lineage_finds_what_loops_find(rows: list[Row]) -> None:
    naive.mark_seen(rows)
    expected = naive.answers(rows)
    events = Events((*NEEDS, *READS))
    events.add(batch(*({c: v for c, v in row.items() if c != "_seen"} for row in rows)))
    found = {row["child_guid"]: row for row in events.lineage.collect().iter_rows(named=True)}
    assert found.keys() == expected.keys()
    reasons: dict[str, dict[str, str | None]] = {child: {} for child in expected}
    for row in events.candidates.collect().iter_rows(named=True):
        reasons[row["child_guid"]][row["candidate_guid"]] = row["excluded_because"]
    for child, answer in expected.items():
        row = found[child]
        assert (row["grade"], row["requester_guid"]) == (answer.grade, answer.requester), child
        assert (row["competitors"], row["ambiguous"]) == (answer.competitors, answer.ambiguous), child
        assert reasons[child] == answer.reasons, child

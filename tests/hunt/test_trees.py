"""`hunt tree`: who is around a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hunt import registry, trees
from hunt.cli import main
from samples.evtx_writer import Event, sysmon_event, sysmon_process, write_log
from tests.helpers import OUTLOOK, POWERSHELL, ROOT

HOSTILE = "C:\\[red]\x1b[31m\u202e.exe"
SAMPLE = ROOT / "samples" / "logs" / "mail-theft.evtx"
HOST = "WS01.contoso.example"


def shown(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["tree", "--quiet", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of our queries: the others take their time."""
    monkeypatch.setattr(registry, "ids", lambda: ("outlook-script-host",))


def names(text: str) -> list[tuple[int, str]]:
    """(generation, image and process id) of the processes, from above."""
    found = []
    for line in text.splitlines():
        bare = line.lstrip("│├└─ ")
        if ".exe (" in bare.lower() and not bare.startswith(("$", "asked for", "perhaps")):
            found.append(((len(line) - len(bare)) // 4, bare.split("  ")[0]))
    return found


def process(pid: int, second: int, parent: Event | None = None, image: str = POWERSHELL, **more: Any) -> Event:
    return sysmon_process(
        Image=image, time=f"2026-03-02 08:{second // 60:02}:{second % 60:02}", host=HOST, ProcessId=pid,
        record_id=1000 + second, **({"parent": parent} if parent else {}), **more,
    )  # fmt: skip


def test_a_requester_stands_in_the_place_of_the_parent_with_its_grade() -> None:
    result = shown(SAMPLE, "--pid", 6128)
    assert names(result.stdout) == [
        (1, "explorer.exe (3120)"),
        (2, "explorer.exe (14512)"),
        (3, "cmd.exe (13060)"),
        (4, "powershell.exe (6128)"),
        (5, "OUTLOOK.EXE (6636)"),
        (5, "tar.exe (4916)"),
    ]
    assert "asked for, grade B, com; logged parent: svchost.exe (5716)" in result.stdout
    assert "2026-03-02 09:00:00.000 to 09:04:00.000" in result.stdout
    assert result.exit_code == 0
    blind, last = result.stderr.splitlines()
    assert blind.endswith("brokered grade A cannot be reached")
    assert last == "hunt: 1 tree; 17 of 17 records read"


def test_a_weaker_requester_is_only_told() -> None:
    log = ROOT / "samples" / "logs" / "com-grades.evtx"
    sure, weak = shown(log, "--pid", 14520).stdout, shown(log, "--pid", 12664).stdout
    assert "asked for, grade C, com; logged parent: svchost.exe" in sure
    assert "perhaps asked for by cscript.exe" in weak and ": grade D, com" in weak
    assert [name.split(" ")[0] for _, name in names(weak)][-2:] == ["svchost.exe", "OUTLOOK.EXE"]


def test_a_guid_is_found_however_it_is_written() -> None:
    guid = "{891F8DEC-5190-69A5-7B06-000000000102}"
    assert trees.bare(guid) == guid
    assert names(shown(SAMPLE, "--guid", guid.strip("{}").lower()).stdout)[-1] == (5, "OUTLOOK.EXE (6636)")


@pytest.mark.usefixtures("few")
def test_a_finding_is_found_in_a_folder_and_in_evidence(tmp_path: Path) -> None:
    out = tmp_path / "out"
    CliRunner().invoke(main, ["run", str(SAMPLE), "-o", str(out), "--quiet"])
    finding = (out / "findings.csv").read_text().splitlines()[1].split(",")[0]
    of_folder = shown(SAMPLE, "--finding", finding, "-o", out)
    assert names(of_folder.stdout)[3] == (4, "powershell.exe (6128)")
    assert shown(SAMPLE, "--finding", finding[:10]).stdout == of_folder.stdout


def test_a_process_id_that_was_several_processes_has_a_tree_each(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [process(7, 0), process(7, 60, image=OUTLOOK), process(9, 61)])
    result = shown(tmp_path, "--pid", 7)
    assert [name for _, name in names(result.stdout) if "explorer" not in name] == [
        "powershell.exe (7)",
        "OUTLOOK.EXE (7)",
    ]
    assert result.stderr.splitlines()[-1].startswith("hunt: 2 trees; ")


def test_a_parent_that_nothing_else_is_known_of_is_named(tmp_path: Path) -> None:
    lost = process(50, 0, image=r"C:\lost.exe")
    write_log(tmp_path / "a.evtx", [process(7, 5, lost)])
    assert [name for _, name in names(shown(tmp_path, "--pid", 7).stdout)][-2:] == [
        "lost.exe (50)",
        "powershell.exe (7)",
    ]


def test_a_deep_and_a_wide_family_are_cut_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_MOST_CHILDREN", 2)
    monkeypatch.setattr(trees, "_DEEPEST", 3)
    first = process(100, 0)
    events = [first, *(process(200 + n, 1 + n, first) for n in range(5))]
    above = events[1]
    for n in range(6):
        above = process(300 + n, 20 + n, above)
        events.append(above)
    write_log(tmp_path / "a.evtx", events)
    text = shown(tmp_path, "--pid", 100).stdout
    assert "and 3 more" in text
    assert "and 1 more" in text
    assert "(302)" not in text
    deep = names(shown(tmp_path, "--pid", 305).stdout)
    assert [name for _, name in deep][-1] == "powershell.exe (305)"


def test_processes_that_are_their_own_ancestors_end(tmp_path: Path) -> None:
    one = process(7, 0)
    two = process(8, 1, one)
    again = sysmon_process(
        Image=POWERSHELL, time="2026-03-02 08:00:00", host=HOST, ProcessId=7, record_id=1000, parent=two
    )
    write_log(tmp_path / "a.evtx", [again, two])
    assert shown(tmp_path, "--pid", 7).exit_code == 0


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [process(7, 0, None, HOSTILE, CommandLine="[/]\x1b]0;t\x07")])
    text = shown(tmp_path, "--pid", 7).stdout
    assert r"[red]\x1b[31m\u202e.exe (7)" in text
    assert r"$ [/]\x1b]0;t\x07" in text


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "one of --guid, --pid and --finding is needed"),
        (("--pid", "1", "--guid", "{1}"), "one of --guid, --pid and --finding is needed"),
        (("--pid", "1", "-o", "out"), "-o OUT is where --finding is looked up"),
        (("--pid", "99999"), "no process of the evidence has the id 99999"),
        (("--guid", "\x1b"), r"no process of the evidence has the GUID {\x1b}"),
        (("--pid", "6128", "--host", "nobody"), "no host of the evidence is --host nobody"),
        (("--finding", "zz"), "no finding is called 'zz'"),
    ],
)
def test_what_is_not_there_is_refused(options: tuple[str, ...], said: str) -> None:
    result = shown(SAMPLE, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr.splitlines()[-1]


def test_a_host_without_process_starts_is_no_bug(tmp_path: Path) -> None:
    write_log(tmp_path / "a.evtx", [sysmon_event(5, time="2026-03-02 08:00:00", host=HOST)])
    result = shown(tmp_path, "--pid", 1)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.endswith("no process of the evidence has the id 1; no host logged process starts")

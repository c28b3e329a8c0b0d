"""What a cluster finds is what one machine finds, byte for byte; whatever dies, and whoever sees what."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from click.testing import CliRunner

from hunt import coverage, memory, registry
from hunt.cli import main
from hunt.cluster import gather as gather_module
from hunt.cluster import grouping, held, lots, sight, tasks, waiting
from hunt.cluster.connect import Workers
from hunt.model import Report
from hunt.pipeline import Request, run
from hunt.room import Room
from hunt.watcher import Watcher
from samples.evtx_writer import sysmon_process, write_log
from samples.values import to_filetime
from tests.helpers import OUTLOOK, POWERSHELL, ROOT
from tests.rogues import MAGIC, ROGUE

START = to_filetime("2026-03-02 08:15:00")
SECOND = 10_000_000  # in a FILETIME
CHUNK = 65536
QUERIES = ("outlook-script-host", "outlook-script-host-direct")  # one in Python, one in EQL


class Noted(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def assert_equal(one: Report, other: Report) -> None:
    """But for the time it took."""
    for name in (field.name for field in fields(Report) if field.name != "timings"):
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, pl.DataFrame):
            assert ours.equals(theirs, null_equal=True), name
        else:
            assert ours == theirs, name


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is a piece."""
    monkeypatch.setattr(lots, "SMALLEST", CHUNK)


@pytest.fixture
def few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each worker: every query is run on each."""
    monkeypatch.setattr(grouping, "_EACH", 1)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several chunks, of three hosts, one damaged chunk; scripts start Outlook on two of them."""
    events = []
    for number in range(240):
        host = ("WS01", "ws02.contoso.example", "WS03")[number % 3]
        begin = START + 2 * number * SECOND
        parent = sysmon_process(Image=POWERSHELL, time=begin, host=host, record_id=2 * number + 1, ProcessId=number)
        image = OUTLOOK if number in (4, 100, 103, 238) else rf"C:\tools\tool{number}.exe"
        child = sysmon_process(
            Image=image, time=START + (2 * number + 1) * SECOND, host=host, record_id=2 * number + 2, parent=parent
        )
        events += [parent, child]
    folder = tmp_path_factory.mktemp("log")
    path = write_log(folder / "three.evtx", events, exported=False)
    content = bytearray(path.read_bytes())
    assert len(content) > 4096 + 5 * CHUNK
    content[4096 + 2 * CHUNK + 600 : 4096 + 2 * CHUNK + 700] = b"\xee" * 100
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def alone(log: Path) -> Report:
    return run(asking(log))


def asking(*evidence: Path, cluster: str | None = None) -> Request:
    return Request(evidence, QUERIES, cluster=cluster)


# What hosts have in common: administrators, people, signed files, a cloned machine, a story across hosts.
SAMPLES = ("clone-a", "clone-b", "exchange-logons", "mail-theft", "unsigned-new")


@pytest.mark.usefixtures("small", "few_parts")
def test_samples_of_many_hosts_give_the_same_with_every_query(workers: Workers) -> None:
    request = Request([ROOT / "samples" / "logs" / f"{name}.evtx" for name in SAMPLES])
    told = run(request)
    assert told.findings["host"].n_unique() >= 4
    assert_equal(run(replace(request, cluster="local:2")), told)


@pytest.mark.usefixtures("small")
def test_a_log_in_pieces_of_several_hosts_gives_the_same(workers: Workers, log: Path, alone: Report) -> None:
    assert alone.findings.height >= 4 and any(problem.kind == "chunk" for problem in alone.problems)
    assert_equal(run(asking(log, cluster="local:2")), alone)


def test_the_files_that_are_written_are_the_same(workers: Workers, tmp_path: Path) -> None:
    sample = str(ROOT / "samples" / "logs" / "mail-theft.evtx")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, more in zip(folders, ([], ["--cluster", "local:2"]), strict=True):
        result = CliRunner().invoke(main, ["run", sample, "-q", "outlook-object-model", "-o", str(folder), *more])
        assert result.exit_code == 0, result.output
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1] and "story.csv" in names[0]
    for name in names[0]:
        if name != "manifest.json":  # holds the command line and the clock
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.usefixtures("small")
def test_a_worker_killed_in_the_middle_changes_nothing(
    workers: Workers, pids: Callable[[], set[int]], log: Path, alone: Report
) -> None:
    before = pids()
    victim = sorted(workers.there())[0]
    workers.client.run(_dies_of_its_second_task, workers=[victim])
    assert_equal(run(asking(log, cluster="local:2")), alone)
    workers.client.wait_for_workers(2, timeout=60)
    assert len(before & pids()) == 1


def _dies_of_its_second_task() -> None:
    """What it has read by then is lost with it."""
    reads: list[int] = []
    usual = tasks.gathered

    def gathered(*arguments: Any) -> Any:
        reads.append(1)
        if len(reads) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*arguments)

    tasks.gathered = gathered


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_file_that_ends_workers_is_a_problem_and_the_others_are_read(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsers = (*registry.parsers(), ROGUE)
    monkeypatch.setattr(registry, "parsers", lambda: parsers)
    write_log(tmp_path / "good.evtx", [sysmon_process(Image=OUTLOOK, time=START, host="WS01")])
    (tmp_path / "leave.rogue").write_bytes(MAGIC + b"leave")
    (tmp_path / "bug.rogue").write_bytes(MAGIC + b"bug")
    noted = Noted()
    report = run(Request([tmp_path], ["outlook-script-host"], cluster="local:2"), noted)
    assert [tally.read for tally in report.tallies if tally.evidence.source == "good.evtx"] == [1]
    told = {problem.source: problem.reason for problem in report.problems}
    assert told.keys() == {"leave.rogue", "bug.rogue"}
    assert "ended the process that read it" in told["leave.rogue"]
    assert any("reading again here, file by file" in note for note in noted.notes)
    workers.client.wait_for_workers(2, timeout=60)


def test_what_workers_lose_for_good_is_read_and_hunted_in_here(workers: Workers, log: Path, alone: Report) -> None:
    workers.client.run(_loses, True)
    noted = Noted()
    try:
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    finally:
        workers.client.run(_loses, False)
    assert any(note.startswith("hunting on ") and note.endswith("it is done here") for note in noted.notes)
    assert not any("was read by a worker that is lost" in note for note in noted.notes)  # they handed it over


def test_what_no_worker_hands_over_is_read_again_here(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost_when_hunting(monkeypatch)
    noted = Noted()
    assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert any("was read by a worker that is lost" in note for note in noted.notes)


def lost_when_hunting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was read or hunted in comes back from workers any more."""
    usual = waiting.given
    monkeypatch.setattr(held, "given", lambda *_: None)
    monkeypatch.setattr(
        waiting, "given", lambda future, beat: None if future.key.startswith("work-") else usual(future, beat)
    )


@pytest.mark.parametrize("how", ["gone", "damaged", "replaced"])
def test_what_is_lost_and_is_not_what_it_was_when_it_is_read_again_is_a_problem(
    workers: Workers, log: Path, alone: Report, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / log.name
    content = log.read_bytes()
    copy.write_bytes(content)
    usual = gather_module._Run.gathered

    def gathered(run: Any) -> Any:
        if how == "gone":
            copy.unlink()
        else:  # the first chunk is none any more, or another
            first, second, rest = content[:4096], content[4096 + CHUNK : 4096 + 2 * CHUNK], content[4096 + CHUNK :]
            copy.write_bytes(first + (bytes(CHUNK) if how == "damaged" else second) + rest)
        return usual(run)

    lost_when_hunting(monkeypatch)
    monkeypatch.setattr(gather_module._Run, "gathered", gathered)
    found = run(asking(copy, cluster="local:2"))
    new = [problem for problem in found.problems if problem not in alone.problems]
    assert found.findings.height < alone.findings.height
    assert new and all(problem.source == log.name for problem in new)
    assert how != "replaced" or any("lost with a worker" in problem.reason for problem in new)


def test_what_was_missing_in_one_run_is_there_again_in_the_next(
    workers: Workers, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers keep parts by name: one that is made of what was read again has another."""
    copy, away = tmp_path / "mail-theft.evtx", tmp_path / "away"
    copy.write_bytes((samples / "logs" / copy.name).read_bytes())
    alone = run(Request([copy]))  # all queries: some build on others, and hunt after them
    stages: dict[str, set[str]] = {}
    gathered, given = gather_module._Run.gathered, waiting.given

    def gone(run: Any) -> Any:
        copy.rename(away)
        return gathered(run)

    def lost_at_first(future: Any, beat: Any) -> Any:
        what, *told = future.key.split("-")  # work-STAGE-PART
        if what != "work":
            return given(future, beat)
        stages.setdefault(told[0], set()).add(told[1])
        return None if len(stages) == 1 else given(future, beat)

    with monkeypatch.context() as patch:
        patch.setattr(held, "given", lambda *_: None)
        patch.setattr(waiting, "given", lost_at_first)
        patch.setattr(gather_module._Run, "gathered", gone)
        found = run(Request([copy], cluster="local:2"))
    assert found.findings.height < alone.findings.height and found.problems != alone.problems
    whole, *others = stages.values()
    assert others and not any(whole & other for other in others)
    away.rename(copy)
    assert_equal(run(Request([copy], cluster="local:2")), alone)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_between_reading_and_hunting_leaves_all_findings(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = coverage.evaluate_all

    def interrupted(*arguments: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return evaluated(*arguments, **named)

    monkeypatch.setattr(coverage, "evaluate_all", interrupted)
    report = run(asking(log, cluster="local:2"))
    assert report.interrupted and report.findings.drop("finding_id").equals(alone.findings.drop("finding_id"))


@pytest.mark.usefixtures("small")
def test_what_was_read_by_the_time_of_an_interrupt_is_hunted_in_though_it_was_lost(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = gather_module._Run.gathered

    def gathered(run: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return usual(run)

    lost_when_hunting(monkeypatch)
    monkeypatch.setattr(gather_module._Run, "gathered", gathered)
    report = run(asking(log, cluster="local:2"))
    assert report.interrupted and report.findings.drop("finding_id").equals(alone.findings.drop("finding_id"))


@pytest.mark.usefixtures("small")
def test_workers_that_dask_has_halted_let_go_of_what_they_keep(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 30.0)
    noted = Noted()
    with halted(workers, _filled):
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert noted.notes == []


@pytest.mark.usefixtures("small")
def test_what_halted_workers_never_do_is_done_here(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 2.0)
    noted = Noted()
    with halted(workers, _halting, 0.001):
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert any("no worker that can see it" in note for note in noted.notes)
    assert any("it is done here" in note for note in noted.notes)


@pytest.mark.usefixtures("small")
def test_the_others_do_what_one_halted_worker_never_does(workers: Workers, log: Path, alone: Report) -> None:
    noted = Noted()
    with halted(workers, _halting, 0.001, only=1):
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert noted.notes == []


@pytest.mark.usefixtures("small")
def test_others_do_what_was_given_to_a_worker_that_is_halted_then(
    workers: Workers, log: Path, alone: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_RELIEF_S", 0.5)
    submit, go, given, busy = workers.client.submit, tmp_path / "go", [], []
    one, other = sorted(workers.there())

    def submitted(task: Any, *arguments: Any, key: str, **where: Any) -> Any:
        if key.startswith("facts-") and not go.exists():  # by then all is given that can be
            _wait(lambda: any(str(key).startswith("read-") for key in workers.client.processing()[one]))
            workers.client.run(_halting, 0.001, workers=[one])
            _wait_for(workers, "paused", [one])
            given.extend(key for key in workers.client.processing()[one] if str(key).startswith("read-"))
            go.touch()
        future = submit(task, *arguments, key=key, **where)
        if key.startswith("how-"):  # all reads want it; then nobody begins with one
            future.result()
            busy.extend(submit(_busy, str(go), workers=[name], pure=False) for name in (one, other))
        return future

    monkeypatch.setattr(workers.client, "submit", submitted)
    noted = Noted()
    with halted(workers, _halting, 0.8, only=0):
        begin = time.monotonic()
        try:
            assert_equal(run(asking(log, cluster="local:2"), noted), alone)
        finally:
            go.touch()
    assert given and time.monotonic() - begin < 20
    assert noted.notes == [] and all(future.done() for future in busy)


def _busy(until: str) -> None:
    while not Path(until).exists():
        time.sleep(0.01)


@pytest.mark.usefixtures("small")
def test_what_was_read_is_fetched_from_workers_that_are_halted_then(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE_S", 2.0)
    usual = gather_module._Run.gathered

    def gathered(run: Any) -> Any:
        workers.client.run(_halting, 0.001)
        _wait_for(workers, "paused")
        return usual(run)

    monkeypatch.setattr(gather_module._Run, "gathered", gathered)
    noted = Noted()
    with halted(workers, _halting, 0.8, only=0):
        begin = time.monotonic()
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert time.monotonic() - begin < 15
    assert noted.notes and all(note.endswith("or have no memory; it is done here") for note in noted.notes)
    assert len(set(noted.notes)) == len(noted.notes)


@pytest.mark.usefixtures("small")
def test_what_was_read_and_can_never_be_read_again_by_workers_is_read_here(
    workers: Workers,
    log: Path,
    alone: Report,
    pids: Callable[[], set[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask does lost tasks again; those that need one that has failed since, it never does, nor says so."""
    usual, go, hunting = waiting.Watch.ended, tmp_path / "go", []

    def ended(watch: Any, futures: Any, *rest: Any, **more: Any) -> Any:
        keys = [future.key for future in futures]
        if not hunting and any(key.startswith("work-") for key in keys):
            hunting.extend(keys)
            _wait(lambda: workers.client.run_on_scheduler(_knows, keys))
            workers.client.run_on_scheduler(_fail)
            for pid in pids():
                os.kill(pid, signal.SIGKILL)
            go.touch()
        return usual(watch, futures, *rest, **more)

    def gathered(run: Any) -> Any:
        busy.extend(workers.client.submit(_busy, str(go), workers=[name], pure=False) for name in workers.there())
        return known(run)

    known, busy = gather_module._Run.gathered, []
    monkeypatch.setattr(waiting.Watch, "ended", ended)
    monkeypatch.setattr(gather_module._Run, "gathered", gathered)
    noted, begin = Noted(), time.monotonic()
    try:
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    finally:
        go.touch()
    assert hunting and time.monotonic() - begin < 30
    assert any("was read by a worker that is lost, and can't be by others" in note for note in noted.notes)


def _knows(keys: list[str], dask_scheduler: Any) -> bool:
    return all(key in dask_scheduler.tasks for key in keys)


def _fail(dask_scheduler: Any) -> None:
    """What all reads need has failed."""
    dask_scheduler.transitions({key: "erred" for key in dask_scheduler.tasks if key.startswith("how-")}, "test")


@contextmanager
def halted(workers: Workers, how: Callable[..., None], *given: float, only: int = 2) -> Iterator[None]:
    """So many workers that Dask has halted when the `with` block begins, and that work again after it."""
    some = sorted(workers.there())[:only]
    workers.client.run(how, *given, workers=some)
    try:
        _wait_for(workers, "paused", some)
        yield
    finally:
        workers.client.run(_halting, 0.8)
        _wait_for(workers, "running")


def _halting(share: float, dask_worker: Any) -> None:
    """From this share of its memory on a worker is halted."""
    dask_worker.memory_manager.memory_pause_fraction = share


def _filled(dask_worker: Any) -> None:
    """A worker keeps what it need not, and that is too much."""
    much = [b"x" * (400 << 20)]
    memory.can_let_go(much.clear)
    manager = dask_worker.memory_manager
    manager.memory_pause_fraction = (psutil.Process().memory_info().rss - (200 << 20)) / manager.memory_limit


def _wait_for(workers: Workers, status: str, some: Collection[str] | None = None) -> None:
    def told() -> bool:
        there = workers.there()
        return all(there[name]["status"] == status for name in there if some is None or name in some)

    _wait(told)


def _wait(until: Callable[[], bool]) -> None:
    last = time.monotonic() + 20
    while not until():
        assert time.monotonic() < last
        time.sleep(0.05)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("hosts", [{"ws01", "ws02.contoso.example", "ws03"}, {"ws01"}, {"ws03"}])
def test_a_part_that_would_end_workers_is_done_here_and_they_do_the_others(
    workers: Workers, log: Path, alone: Report, hosts: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_here(own: held.Held) -> dict[int, tasks.Part]:
        own_here = {place: part for place, part in enumerate(own.parts) if part.share.meets(hosts)}
        expected.append((len(own_here), len(own.parts) - len(own_here)))  # of how many depends on who works
        return own_here

    def submit(task: Any, *given: Any, key: str, **where: Any) -> Any:
        submitted.extend([key] if key.startswith("work-") else [])
        return usual(task, *given, key=key, **where)

    usual, submitted, expected = workers.client.submit, list[str](), list[tuple[int, int]]()
    monkeypatch.setattr(held.Held, "_only_here", only_here)
    monkeypatch.setattr(workers.client, "submit", submit)
    noted = Noted()
    assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    ((here, there),) = expected
    assert here and len(submitted) == there
    assert [note.partition(" has no room on workers")[2] for note in noted.notes] == ["; it is done here"] * here


def test_a_part_that_has_room_nowhere_is_not_evaluable(
    workers: Workers, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunt.pipeline.room.default", lambda most: replace(Room.of(1 << 30), whole=1000))
    workers.client.run(_loses, True)
    try:
        report = run(asking(log, cluster="local:2"))
    finally:
        workers.client.run(_loses, False)
    assert not report.findings.height
    for result in report.queries:
        assert not result.status.able and "--memory allows" in result.reason


def _loses(all_of_it: bool) -> None:
    """Nothing of what was read is there any more."""

    def check(*arguments: Any) -> None:
        raise tasks.LostError("gone")

    tasks._check = check if all_of_it else _usual_check


_usual_check = tasks._check


# Who sees what.


@pytest.mark.usefixtures("small")
def test_what_one_machine_alone_sees_is_read_there_and_said(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = sorted(workers.there())
    monkeypatch.setattr(Workers, "machines", lambda self, there=None: {"127.0.0.1": [near], "198.51.100.7": [far]})
    workers.client.run(_sees, True, workers=[far])
    noted = Noted()
    try:
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    finally:
        workers.client.run(_sees, False, workers=[far])
    assert noted.notes == ["three.evtx: only 127.0.0.1 of 2 machines can see it; read there"]


@pytest.mark.usefixtures("small")
def test_what_no_worker_sees_is_read_here_and_said(
    workers: Workers, pids: Callable[[], set[int]], log: Path, alone: Report
) -> None:
    workers.client.run(_sees, True)
    noted = Noted()
    try:
        assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    finally:
        workers.client.run(_sees, False)
    assert noted.notes == ["three.evtx: no worker can see it; read here, and handed over"]


def _sees(nothing: bool) -> None:
    sight._size = (lambda path: None) if nothing else _usual_size  # type: ignore[assignment]


_usual_size = sight._size


def test_another_file_of_the_same_name_and_size_there_is_not_read(
    workers: Workers, log: Path, alone: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hunt.cluster.gather.token", lambda path: "of another file")
    noted = Noted()
    assert_equal(run(asking(log, cluster="local:2"), noted), alone)
    assert noted.notes == ["three.evtx: it is another file on a worker; reading again here, file by file"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.usefixtures("small")
def test_an_interrupt_leaves_what_was_read_and_says_what_was_not(workers: Workers, log: Path) -> None:
    report = run(asking(log, cluster="local:2"), Interrupting())
    assert report.interrupted and report.unread == ("three.evtx",)
    (problem,) = (problem for problem in report.problems if "interrupted" in problem.reason)
    assert problem.source == "three.evtx" and f"of {log.stat().st_size} bytes" in problem.reason
    assert 0 < sum(tally.read for tally in report.tallies) < 480


@pytest.mark.usefixtures("small", "few_parts")
def test_an_interrupt_while_hunting_ends_what_builds_on_it_as_well(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(future: Any, beat: Callable[[], None]) -> Any:
        if future.key.startswith("work-"):
            if not parts:
                signal.raise_signal(signal.SIGINT)
            parts.append(future.key)
        return usual(future, beat)

    usual, parts = waiting.given, list[str]()
    monkeypatch.setattr(waiting, "given", given)
    report = run(Request([ROOT / "samples" / "logs" / f"{name}.evtx" for name in SAMPLES], cluster="local:2"))
    assert report.interrupted and report.unread == ()
    assert len(parts) == 1  # of two, of each of two stages


class Interrupting(Watcher):
    """Ctrl-C as soon as something was read."""

    done = False

    def at(self, source: str, bytes_done: int, records: int) -> None:
        if records and not self.done:
            self.done = True
            signal.raise_signal(signal.SIGINT)

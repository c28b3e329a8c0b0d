"""Who can be worked with: one clear line says why not."""

from __future__ import annotations

import builtins
import os
import pickle
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
from click.testing import CliRunner

from hunt.cli import main
from hunt.cluster import connect, versions
from hunt.cluster.connect import Place, Workers, place
from hunt.cluster.versions import Versions
from hunt.errors import HuntError
from tests.helpers import ROOT

SAMPLE = str(ROOT / "samples" / "logs" / "mail-theft.evtx")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("local:1", Place(1)), ("local:256", Place(256)), ("tcp://h.example:8786", Place(0, "tcp://h.example:8786")),
     ("tls://[::1]:8786", Place(0, "tls://[::1]:8786"))],
)  # fmt: skip
def test_a_place_is_so_many_processes_or_an_address(text: str, expected: Place) -> None:
    assert place(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "local", "local:", "local:0", "local:257", "local:-1", "local:2x", "http://h:1", "tcp://h", "tcp://:1 x"],
)
def test_what_names_no_place_is_one_line(text: str) -> None:
    with pytest.raises(HuntError, match=r"^--cluster "):
        place(text)


def test_a_scheduler_that_is_not_there_is_one_line_and_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_CONNECT_S", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        where = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        result = CliRunner().invoke(main, ["run", SAMPLE, "--cluster", where])
    assert result.exit_code == 2 and time.monotonic() - began < 10
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hunt: --cluster {where}: no Dask scheduler answers there (")


def test_what_is_no_scheduler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_CONNECT_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # connects, and says nothing
        where = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(HuntError, match="no Dask scheduler answers there"), connect.connected(where, 1 << 30):
            pass


def test_tls_that_is_not_configured_is_one_line() -> None:
    with pytest.raises(HuntError, match="TLS configuration"), connect.connected("tls://127.0.0.1:1", 1 << 30):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def importing(name: str, *rest: Any, **named: Any) -> Any:
        if name in ("dask", "distributed"):
            raise ModuleNotFoundError(name)
        return usual(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(HuntError) as error, connect.connected("local:2", 1 << 30):
        pass
    assert str(error.value) == "--cluster: Dask is not installed; pip install evtx-hunt[cluster]"


def test_workers_of_this_machine_have_settings_of_their_own(started: Workers) -> None:
    wanted = {"POLARS_MAX_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": str((4 << 30) // 3 // 8)}
    expected = {name: os.environ.get(name, value) for name, value in wanted.items()}  # as the user has them
    told = started.client.run(_variables, list(wanted))
    assert [*told.values()] == [expected, expected]


def _variables(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def test_settings_of_others_are_not_left_here_and_those_of_the_user_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUNT_OWN", "own")
    with connect._environment(HUNT_OWN="ours", HUNT_NEW="new"):
        assert os.environ["HUNT_OWN"] == "own" and os.environ["HUNT_NEW"] == "new"
    assert os.environ["HUNT_OWN"] == "own" and "HUNT_NEW" not in os.environ


class Lone:
    """A client whose scheduler answers, or does not."""

    def __init__(self, status: str, answers: bool) -> None:
        self.status, self.answers = status, answers
        self.scheduler = SimpleNamespace(identity=None)

    def sync(self, *_: object, **__: object) -> None:
        if not self.answers:
            raise TimeoutError


@pytest.mark.parametrize(
    ("status", "answers", "raised"),
    [("running", True, KeyError), ("running", False, HuntError), ("closed", True, HuntError)],
)
def test_what_fails_without_a_scheduler_is_one_line_and_our_own_bugs_stay(
    status: str, answers: bool, raised: type[Exception]
) -> None:
    workers = Workers(Lone(status, answers), Place(address="tcp://h.example:8786"))
    with pytest.raises(raised) as error, workers.needed():
        raise KeyError("workers")
    assert raised is KeyError or str(error.value).startswith("--cluster tcp://h.example:8786: the scheduler is gone")


# Versions.


def test_a_worker_that_runs_something_else_is_named_with_what_it_runs(started: Workers) -> None:
    here = started.versions
    there = replace(started, versions=here._replace(source="000000000000", polars="1.0.0"))
    with pytest.raises(HuntError) as error:
        connect._compare(there)
    for address in started.there():
        assert f"worker {address}: evtx-hunt's source {here.source} (here: 000000000000)" in str(error.value)
        assert f"polars {here.polars} (here: 1.0.0)" in str(error.value)
    connect._compare(started)


def test_what_asks_for_versions_needs_nothing_of_ours_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = cloudpickle.loads(cloudpickle.dumps(versions.asked()))
    assert asked() == tuple(versions.here())
    monkeypatch.setitem(sys.modules, "hunt.cluster.versions", None)
    monkeypatch.delattr("hunt.cluster.versions")
    assert pickle.loads(pickle.dumps(asked())).startswith("can't import evtx-hunt")


def test_the_source_is_told_by_every_file_that_decides_what_is_found() -> None:
    names = {name for name, _ in versions._files()}
    assert {"/cluster/tasks.py", "parsers/evtx.py", "queries/outlook_object_model.py", "/eql/eql.lark"} <= names
    assert not any("__pycache__" in name for name in names)


def test_another_line_in_our_source_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.py"
    monkeypatch.setattr(versions, "_files", lambda: [("a.py", file)])
    told = []
    for content in (b"x = 1\n", b"x = 1\r\n", b"x = 2\n"):
        file.write_bytes(content)
        told.append(versions._source())
    assert told[0] == told[1] != told[2]


def test_the_difference_is_told_item_by_item() -> None:
    here = Versions("1", "aa", "2.1.0", "3.11")
    assert here.other(than=here) == ""
    assert here._replace(python="3.12").other(than=here) == "Python 3.12 (here: 3.11)"

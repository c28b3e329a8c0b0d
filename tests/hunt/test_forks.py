"""Copies of a process: when one can be made, what it is given, and that it takes nothing of the process along."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")

_ECHO = """
    def echo(asked, told):
        for line in asked:
            told.write(line.upper())
            told.flush()
        os._exit(7)
"""


def alone(program: str, *given: str | Path) -> str:
    """What a program prints that has a process of its own: this one has threads."""
    head = "import os, sys, threading, time\nfrom hunt.forks import Fork, can_fork\n"
    whole = head + textwrap.dedent(_ECHO) + textwrap.dedent(program)
    there = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # as `hunt.cli` has it: else NumPy has threads, too
    command = [sys.executable, "-c", whole, *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=there, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_whose_libraries_are_only_imported_can_be_copied() -> None:
    assert alone("import polars, pyarrow; from hunt import serving; serving.ready(); print(can_fork())") == "True\n"


def test_one_that_has_threads_can_t() -> None:
    assert (
        alone("""
        done = threading.Event()
        threading.Thread(target=done.wait).start()
        print(can_fork())
        done.set()
        """)
        == "False\n"
    )


def test_one_in_which_polars_has_worked_can_t() -> None:
    assert (
        alone("""
        import polars as pl
        pl.DataFrame({"x": range(100_000)}).lazy().group_by(pl.col("x") % 7).len().sort("x").collect()
        print(can_fork())
        """)
        == "False\n"
    )


def test_a_copy_answers_until_nobody_asks_any_more() -> None:
    assert (
        alone("""
        copy = Fork(echo)
        copy.stdin.write(b"a question\\n")
        copy.stdin.flush()
        print(copy.stdout.readline(), copy.poll())
        copy.stdin.close()
        print(copy.wait(), copy.poll())
        """)
        == "b'A QUESTION\\n' None\n7 7\n"
    )


def test_it_can_be_ended() -> None:
    assert alone("copy = Fork(echo); copy.kill(); print(copy.wait()); copy.kill()") == "-9\n"


def test_one_that_is_stuck_before_it_shows_that_it_works_is_not_left_behind() -> None:
    assert (
        alone("""
        from hunt import forks
        forks._STUCK_S = 1
        print(Fork(lambda asked, told: time.sleep(600)).wait())

        def works(asked, told):
            forks.alive()
            time.sleep(2)
            os._exit(3)

        print(Fork(works).wait())
        """)
        == "-14\n3\n"
    )


def test_an_interrupt_while_it_is_made_is_none_of_its_own() -> None:
    assert (
        alone("""
        import signal
        signal.signal(signal.SIGINT, lambda *rest: print("heard", flush=True))
        fork = os.fork

        def interrupted():
            number = fork()
            os.kill(os.getpid(), signal.SIGINT)
            return number

        os.fork = interrupted
        print(Fork(echo).wait())
        """)
        == "heard\n-2\n"
    )


def test_it_has_nothing_open_of_the_process_but_what_it_is_asked_by(tmp_path: Path) -> None:
    found = alone(
        """
        import pathlib
        held = open(sys.argv[1], "wb")
        reader, writer = os.pipe()

        def look(asked, told):
            places = pathlib.Path("/proc/self/fd").iterdir()
            told.write(repr(sorted(os.readlink(place) for place in places if place.exists())).encode())
            told.close()
            os._exit(0)

        first, second = Fork(echo), Fork(look)
        print(second.stdout.read().decode())
        first.stdin.close()
        print(first.wait())
        """,
        tmp_path / "held",
    )
    told, ended = found.splitlines()
    assert str(tmp_path) not in told
    assert told.count("pipe:") == 2
    assert ended == "7"  # though a second copy was made while it was asked


def test_its_signs_of_life_are_not_those_of_the_process(tmp_path: Path) -> None:
    assert (
        alone(
            """
            import pathlib
            from hunt import pulse
            from hunt.pulse import Phase, Pulse
            folder = pathlib.Path(sys.argv[1])
            page = Pulse(folder, create=True)
            pulse.attach(folder)

            def beats(asked, told):
                pulse.beat(Phase.READING, "of the copy")
                pulse.finish()
                os._exit(0)

            copy = Fork(beats)
            print(copy.wait(), page.sign().beats, page.sign().finished)
            """,
            tmp_path,
        )
        == "0 0 False\n"
    )


def test_what_goes_wrong_in_it_ends_it_alone() -> None:
    assert (
        alone("""
        def fails(asked, told):
            raise SystemExit("not ours to print")

        try:
            print(Fork(fails).wait())
        finally:
            print("once")
        """)
        == "1\nonce\n"
    )


def test_a_copy_decodes_what_the_process_would(tmp_path: Path) -> None:
    assert (
        alone(
            """
            import pathlib
            from hunt import helpers, serving
            from hunt.forks import Fork
            from hunt.helpers import HELPERS
            serving.ready()
            HELPERS.begin(2)
            begun = [helper._process for helper in HELPERS._begun]
            from hunt.model import Reading
            from hunt.parsers.evtx import PARSER
            from tests.helpers import evidence, gather
            from tests.hunt.test_helpers import logs, same, waiting
            first, second = waiting(HELPERS), waiting(HELPERS)
            HELPERS.give(first), HELPERS.give(second)
            files = [evidence(path) for path in logs(pathlib.Path(sys.argv[1]))]
            helpers.WORTH = 0
            done, do = [], helpers.Lane.do
            helpers.Lane.do = lambda self, *work, **named: (done.append(self), do(self, *work, **named))[1]
            there = gather(PARSER, files, Reading(jobs=2, processes=True))
            here = gather(PARSER, files, Reading(jobs=2))
            print([type(process).__name__ for process in begun], bool(done), same(here, there))
            print([process.poll() for process in begun])
            """,
            tmp_path,
        )
        == "['Fork', 'Fork'] True True\n[-9, -9]\n"
    )


def test_one_that_can_t_work_is_not_waited_for(tmp_path: Path) -> None:
    assert (
        alone(
            """
            import pathlib
            from hunt import helpers, serving
            from hunt.helpers import HELPERS
            serving.ready()
            serving._prove = lambda: time.sleep(600)  # what a lock that nobody releases looks like
            HELPERS.begin(1)
            from hunt.model import Reading
            from hunt.parsers.evtx import PARSER
            from tests.helpers import evidence, gather
            from tests.hunt.test_helpers import logs
            files = [evidence(path) for path in logs(pathlib.Path(sys.argv[1]))]
            (helper,) = HELPERS._begun
            there = gather(PARSER, files, Reading(jobs=2, processes=True))
            print(len(there.census) > 0, helper._process.poll(), HELPERS.take())
            """,
            tmp_path,
        )
        == "True -9 None\n"
    )


def test_hunt_frame_writes_the_same_with_and_without_one(tmp_path: Path) -> None:
    program = """
        import pathlib
        from hunt import helpers
        from tests.hunt.test_helpers import logs
        helpers.WORTH_COPIED = 0
        folder = pathlib.Path(sys.argv[1]) / "logs"
        folder.mkdir(exist_ok=True)
        logs(folder)
        begun = []
        init = helpers.Helper.__init__
        helpers.Helper.__init__ = lambda self: (init(self), begun.append(type(self._process).__name__))[0]
        from hunt.commands.frame import frame
        out = str(pathlib.Path(sys.argv[1]) / f"{sys.argv[2]}.parquet")
        try:
            frame.main([str(folder), "-e", "sysmon:1", "-o", out, "--jobs", sys.argv[2], "--quiet"])
        except SystemExit:
            print(begun)
        """
    assert [alone(program, tmp_path, jobs) for jobs in "12"] == ["[]\n", "['Fork']\n"]
    import polars as pl

    one, two = (pl.read_parquet(tmp_path / f"{jobs}.parquet") for jobs in "12")
    assert one.height and one.equals(two)

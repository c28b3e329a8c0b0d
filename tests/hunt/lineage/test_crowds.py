"""The latest that may be meant, out of a crowd, against plain loops; and who may not be lost in one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunt.lineage import crowds
from hunt.lineage.drivers import drivers
from hunt.lineage.windows import clock, timeline
from tests.helpers import OUTLOOK, POWERSHELL

_TIMES = st.lists(st.integers(0, 30), max_size=25)


@given(
    children=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    crowd=_TIMES,
    dead=st.sets(st.integers(0, 24)),
    most=st.integers(1, 4),
    scanned=st.integers(0, 30),
)
def test_the_latest_and_in_the_stead_of_the_dead_the_next(
    children: list[int], crowd: list[int], dead: set[int], most: int, scanned: int
) -> None:
    times, left = np.array(crowd, np.int64), np.array(children, np.int64)
    line = timeline(np.zeros(times.size, np.int32), clock(times))
    window = line.near(np.zeros(left.size, np.int64), left, 20, 0)
    alive = np.array([n not in dead for n in range(max(times.size, 1))])
    size = np.full(window.placed.size, 1)
    met = crowds.latest(window, most * size, scanned * size, lambda _, right: alive[right])
    for n, at in enumerate(children):
        near = [m for m in line.row.tolist()[::-1] if at - 20 <= crowd[m] <= at]
        first, looked = near[:most], near[most : most + scanned]
        wanted = most - sum(m not in dead for m in first)
        living = [m for m in looked if m not in dead]
        taken = first + (living[:wanted] if len(near) > most else [])
        assert met.right[met.left == n].tolist() == taken
        unseen = len(near) - len(first) - len(looked)
        assert met.left_over[n] == unseen + len(living) - len(taken) + len(first)


@pytest.mark.parametrize(
    ("image", "original", "description", "kind"),
    [
        (POWERSHELL, None, None, (True, False)),
        (r"C:\Windows\System32\CMD.EXE", None, None, (True, False)),
        (r"C:\Windows\x.exe", "Cmd.Exe.MUI", None, (True, False)),
        (r"C:\Windows\x.exe", "-", " Windows PowerShell ", (True, False)),
        (r"C:\Windows\notcmd.exe", "notcmd.exe", "x", (False, False)),
        (OUTLOOK, None, None, (False, False)),
        (r"C:\Program Files (x86)\x\python.exe", None, None, (False, True)),
        (r"C:\Users\alice\x.exe", None, None, (False, True)),
        (r"\\?\C:\Windows\x.exe", None, None, (False, False)),
        (r"\\server\share\x.exe", None, None, (False, True)),
        (None, None, None, (False, True)),
    ],
)
def test_who_can_drive_com(
    image: str | None, original: str | None, description: str | None, kind: tuple[bool, bool]
) -> None:
    schema = {"image": pl.String, "original_file_name": pl.String, "description": pl.String}
    scripts, others = drivers(pl.DataFrame([(image, original, description)] * 2, schema=schema, orient="row"))
    assert (scripts.to_list(), (others & ~scripts).to_list()) == ([kind[0]] * 2, [kind[1]] * 2)

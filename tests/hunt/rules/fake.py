"""A format of rules for tests, `.rule`: one rule a file, `field: text` a line, evaluated on Sysmon 1 by one pack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from hunt.model import SYSMON, Case, Help, Need, Severity, Status
from hunt.rules import load as loading
from hunt.rules import matches
from hunt.rules.model import RISKS, Loaded, RuleError, RuleInfo, Takes, Unusable, every, hunt_of, severity

NAME = "tests.hunt.rules.fake_format"


class Pack:
    """Rules that look for an image; asked once for each case."""

    def __init__(self, images: Sequence[str]) -> None:
        self.images = images
        self.asked = 0
        self._of: Case | None = None
        self._told: dict[int, pl.DataFrame] = {}

    def find(self, rule: int, case: Case) -> pl.LazyFrame:
        if self.images[rule] == "breaks":
            raise RuleError(Status.UNSUPPORTED, "breaks on this evidence")
        if self._of is not case:
            self.asked += 1
            self._of, self._told = case, self._all(case)
        return self._told.get(rule, _NOTHING).lazy()

    def _all(self, case: Case) -> dict[int, pl.DataFrame]:
        starts = case.frame(SYSMON, 1).with_row_index("row").select("row", "Image").collect()
        hits = [
            starts.filter(pl.col("Image").str.ends_with(image)).select(
                pl.lit(rule).alias("rule"), pl.col("row").alias("match"), pl.lit(1).alias("step"),
                pl.lit(SYSMON).alias("channel"), pl.lit(1).alias("event_id"), "row",
            ).cast(pl.Schema(matches.HITS))
            for rule, image in enumerate(self.images)
        ]  # fmt: skip
        told = matches.told(case, pl.concat(hits)).partition_by("rule", as_dict=True)
        return {int(str(key[0])): rows.drop("rule", "match") for key, rows in told.items()}


_NOTHING = pl.DataFrame(schema=dict(matches.TOLD)).drop("rule", "match")


def read(paths: Sequence[Path], takes: Takes = every) -> Iterator[Loaded | Unusable]:
    """`load` of the format."""
    infos, images, keyed = [], [], []
    for path in paths:
        said = dict(line.split(": ", 1) for line in path.read_text().splitlines() if ": " in line)
        if not said:
            continue
        level = said.get("level", "")
        known = severity(level) or Severity.MEDIUM
        info = RuleInfo(
            path, id=said.get("id", ""), title=said.get("title", ""), severity=known, risk_score=RISKS[known],
            level=level, status=said.get("status", ""), tags=tuple(said.get("tags", "").split()),
            attack=tuple(said.get("attack", "").split()), description=said.get("about", ""), text=said.get("image", ""),
        )  # fmt: skip
        if "invalid" in said:
            yield Unusable(info, RuleError(Status.INVALID, said["invalid"], line=1, column=2))
        elif takes(info):
            infos.append(replace(info, number=int(said.get("number", 1))))
            images.append(said["image"])
            keyed.append(said)
    pack = Pack(images)
    for rule, (info, said) in enumerate(zip(infos, keyed, strict=True)):
        columns = frozenset({"Image", *said.get("columns", "").split()})
        starts = Need(SYSMON, 1, columns, frozenset({"Image"}))
        created = Need("Security", 4688, *[frozenset({"NewProcessName"})] * 2)
        others = [Need(SYSMON, int(number), frozenset()) for number in said.get("needs", "").split()]
        helps = [Help(SYSMON, 5, said["helps"])] if "helps" in said else []
        limits = [said["limit"]] if "limit" in said else []
        hunt = hunt_of(
            info, partial(pack.find, rule), needs=others, any_of=[(starts, created)], helps=helps, limits=limits
        )
        yield Loaded(info, hunt, lambda: ["looks at each start"])


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the format known while a test runs."""
    module = ModuleType(NAME)
    module.load = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.setattr(loading, "FORMATS", {**loading.FORMATS, ".rule": NAME})


def write(path: Path, image: str = "OUTLOOK.EXE", **said: object) -> Path:
    """A rule's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}: {text}\n" for name, text in {"image": image, **said}.items()))
    return path

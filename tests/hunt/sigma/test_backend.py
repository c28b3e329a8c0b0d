"""pySigma's way in: rules and processing pipelines -> Polars expressions."""

from __future__ import annotations

import polars as pl
import pytest
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.policy.profiles import TrustedPolicy
from sigma.processing.pipeline import ProcessingPipeline

from hunt.sigma.backend import PolarsBackend
from tests.hunt.sigma.given import rule, selection
from tests.hunt.sigma.test_matching import late_on_60

PIPELINE = """\
name: ours
priority: 10
transformations:
  - id: names
    type: field_name_mapping
    mapping: {Image: process, CommandLine: [line, other]}
  - id: words
    type: value_placeholders
vars:
  tools: [mimikatz, rubeus]
"""
FRAME = pl.DataFrame(
    {
        "process": ["C:\\Cmd.exe", "C:\\a.exe", "C:\\cmd.exe", None],
        "line": ["x", "cmd mimikatz", None, "mimikatz"],
        "other": [None, None, "RUBEUS", None],
        "port": [80, 443, None, 8080],
    }
)


def rows(text: str, pipeline: str | None = None, frame: pl.DataFrame = FRAME) -> list[int]:
    """The rows that the expressions of a rule choose."""
    backend = PolarsBackend(ProcessingPipeline.from_yaml(pipeline) if pipeline else None)
    (chosen,) = backend.convert(SigmaCollection.from_yaml(text, policy=TrustedPolicy))
    return frame.with_row_index().lazy().filter(chosen).collect()["index"].to_list()


def test_a_pipeline_renames_fields_and_fills_in_placeholders() -> None:
    text = rule(selection("Image|endswith: '\\\\cmd.exe'", "CommandLine|contains|expand: '%tools%'"))
    assert rows(text, PIPELINE) == [2]
    either = rule(
        "a: {Image|endswith: cmd.exe}\nb: {CommandLine|contains|expand: '%tools%'}\n", condition="a and not b"
    )
    assert rows(either, PIPELINE) == [0]


@pytest.mark.parametrize(
    ("detection", "chosen"),
    [
        ("selection: {process|endswith: CMD.EXE}\n", [0, 2]),
        ("selection: {process: null}\n", [3]),
        ("selection: {absent: null}\n", [0, 1, 2, 3]),
        ("selection: {absent|exists: false, process|exists: true}\n", [0, 1, 2]),
        ("selection: {absent: x}\n", []),
        ("selection: {port|gte: 443}\n", [1, 3]),
        ("selection: {process|cased|contains: Cmd}\n", [0]),
        ("selection: {line|re: '^(?=.*cmd)'}\n", [1]),
        ("selection: [mimikatz, '80']\n", [0, 1, 3]),
    ],
)
def test_expressions_choose_rows_of_any_frame(detection: str, chosen: list[int]) -> None:
    assert rows(rule(detection)) == chosen


def test_each_condition_is_an_expression_of_its_own() -> None:
    text = rule("a: {port: 80}\nb: {port: 443}\n", condition="[a, b]")
    made = PolarsBackend().convert(SigmaCollection.from_yaml(text))
    assert [FRAME.select(one.alias("met"))["met"].to_list().index(True) for one in made] == [0, 1]


def test_what_could_not_be_told_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hunt.sigma.slow.matches", late_on_60)
    (made,) = PolarsBackend().convert(
        SigmaCollection.from_yaml(rule(selection(r"a|re: '(?=a)(a+a+)+b\1'")), policy=TrustedPolicy)
    )
    assert pl.DataFrame({"a": ["a" * 60, "aabaa", "x"]}).select(made.alias("met"))["met"].to_list() == [
        None,
        True,
        False,
    ]


def test_a_backend_that_collects_errors_goes_on() -> None:
    correlation = "title: x\ncorrelation:\n  type: event_count\n  rules: [one]\n  timespan: 1m\n  condition: {gte: 3}\n"
    both = rule(selection("port: 80"), more="name: one") + "---\n" + correlation
    with pytest.raises(SigmaError, match="correlation"):
        PolarsBackend().convert(SigmaCollection.from_yaml(both))
    backend = PolarsBackend(collect_errors=True)
    good = rule(selection("port: 80"))
    bad = rule(selection("port|expand: '%unknown%'"))
    assert len(backend.convert(SigmaCollection.from_yaml(f"{bad}---\n{good}"))) == 1
    assert ["unknown" in str(error) for _, error in backend.errors] == [True]

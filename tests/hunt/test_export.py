"""Frames as files: all columns of all batches, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from hunt import export, schema
from hunt.errors import HuntError
from hunt.export import Writer
from hunt.model import SYSMON, EventType
from tests.helpers import OUTLOOK, batch, start

NONE = pl.DataFrame(schema={"A": pl.UInt32, "B": pl.String})


def write(path: Path, *frames: pl.DataFrame) -> pl.DataFrame:
    with Writer(path, NONE) as writer:
        for frame in frames:
            writer.write(frame.to_arrow())
    assert writer.rows == sum(frame.height for frame in frames)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)


@pytest.fixture(params=[1, 3, 65_536])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many rows are written at a time."""
    monkeypatch.setattr(export, "_ROWS", request.param)
    return int(request.param)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", ["out.parquet", "out.csv", "OUT.CSV", "Out.Parquet"])
def test_columns_that_come_and_go_between_batches_are_all_there(name: str, tmp_path: Path) -> None:
    frames = [
        pl.DataFrame({"A": ["1", "2"]}), pl.DataFrame({"B": ["x"], "A": ["3"]}), pl.DataFrame({"C": ["c"]}),
        pl.DataFrame({"A": ["4"], "B": [None]}, schema={"A": pl.String, "B": pl.String}),
    ]  # fmt: skip
    path = tmp_path / name
    with Writer(path, NONE) as writer:
        for frame in frames:
            writer.write(frame.to_arrow())
    found = pl.read_parquet(path) if path.suffix.lower() == ".parquet" else pl.read_csv(path, infer_schema=False)
    assert found["A"].to_list() == ["1", "2", "3", None, "4"]
    assert found["B"].to_list() == [None, None, "x", None, None]
    assert found["C"].to_list() == [None, None, None, "c", None]


@pytest.mark.usefixtures("rows")
def test_types_that_change_between_batches_take_the_wider(tmp_path: Path) -> None:
    """Providers may mean numbers of other widths by a name; a batch between them may not have it at all."""
    narrow, none, wide = (
        pl.Series("A", [n], dtype=t).to_frame() for n, t in ((1, pl.UInt32), (2, pl.UInt8), (2**40, pl.UInt64))
    )
    none = none.rename({"A": "B"})
    for order in ((narrow, none, wide), (wide, none, narrow), (narrow, wide, none)):
        found = write(tmp_path / "out.parquet", *order)
        assert sorted(found["A"].drop_nulls()) == [1, 2**40]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_result_of_nothing_is_a_file_of_no_rows_with_its_columns(name: str, tmp_path: Path) -> None:
    assert write(tmp_path / name).shape == (0, 2)


@pytest.mark.parametrize("name", ["out", "out.txt", "out.parquet.gz", ".csv"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(HuntError, match=r"can write \.parquet and \.csv only"):
        Writer(tmp_path / name, NONE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("rows")
def test_an_error_on_the_way_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(path, pl.DataFrame({"A": [1]}))
    with pytest.raises(ZeroDivisionError), Writer(path, NONE) as writer:
        writer.write(pl.DataFrame({"A": [2]}).to_arrow())
        raise ZeroDivisionError
    assert pl.read_parquet(path)["A"].to_list() == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Writer(tmp_path / "nowhere" / "out.csv", NONE)


def test_csv_keeps_all_of_a_time_and_lists_as_json(tmp_path: Path) -> None:
    at = pl.Series("t", [1_772_439_300_123_456_700], dtype=pl.Int64).cast(schema.TIME)
    found = write(tmp_path / "out.csv", pl.DataFrame([at, pl.Series("Data", [["a", 'b"', ""]], dtype=schema.TEXTS)]))
    assert found.rows() == [("2026-03-02T08:15:00.123456700Z", '["a","b\\"",""]')]


def test_csv_disarms_formulas_and_control_characters_in_cells_and_names(tmp_path: Path) -> None:
    found = write(tmp_path / "out.csv", pl.DataFrame({"=cmd": ["=1+1\x1b[31m"]}))
    assert found.rows() == [(r"'=1+1\x1b[31m",)]
    assert found.columns == ["'=cmd"]


def test_parquet_is_exact(tmp_path: Path) -> None:
    texts = ["=1+1\x1b[31m", "", None, "a\0b", "外" * 5000]
    assert write(tmp_path / "out.parquet", pl.DataFrame({"A": texts}))["A"].to_list() == texts


# Whole batches.


def test_one_event_type_goes_to_its_file_whatever_the_case_of_its_channel(tmp_path: Path) -> None:
    target = export.export_one(EventType(SYSMON.upper(), 1), tmp_path / "out.parquet")
    with target:
        assert target.wants().of(EventType(SYSMON, 1))
        assert target.wants().of(EventType(SYSMON, 3)) is None
        target.add(batch(start(OUTLOOK), start(OUTLOOK)))
    assert (target.rows, target.files) == (2, 1)
    assert pl.read_parquet(tmp_path / "out.parquet")["Image"].to_list() == [OUTLOOK] * 2


def test_all_event_types_go_to_a_file_each(tmp_path: Path) -> None:
    target = export.export_all(tmp_path / "new" / "folder")
    with target:
        target.add(batch(start(OUTLOOK), start(OUTLOOK, channel="A/../b:c")))
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"microsoft-windows-sysmon%2foperational.1.parquet", "a%2f%2e%2e%2fb%3ac.1.parquet"}


@pytest.mark.parametrize(
    "channel", ["", "..", "/", "C:\\x", "con.", "a\0b", "x" * 500, "Ä外", "\ud800", "a" * 119 + "%"]
)
def test_file_names_are_harmless_short_and_differ(channel: str) -> None:
    name = export.file_name(channel, 1)
    assert name.isascii() and len(name) < 160
    assert not set(name) & set('/\\:*?"<>|\0 ')
    assert name.rpartition(".")[0] not in ("", ".", "..")
    assert name != export.file_name(channel + "x", 1)

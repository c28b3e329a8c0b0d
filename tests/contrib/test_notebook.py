"""The example notebook runs from its first cell to its last."""

from __future__ import annotations

import ast
import json
from typing import Any

import polars as pl
import pytest

from tests.helpers import ROOT

NOTEBOOK = ROOT / "contrib" / "notebook.ipynb"


def test_every_cell_runs_and_shows_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for cell in cells:
        *before, last = ast.parse(cell).body
        assert isinstance(last, ast.Expr), cell
        exec(compile(ast.Module(before, []), "cell", "exec"), names)
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        assert shown.height if isinstance(shown, pl.DataFrame) else shown, cell

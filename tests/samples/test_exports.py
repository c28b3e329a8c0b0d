"""The committed exports of cloud audit logs give what exports.yml promises, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from hunt import pipeline
from samples import exports
from samples.exports import HERE

EXPORTS = exports.scenarios()


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export["file"])
def test_an_export_gives_exactly_what_is_promised(export: dict[str, Any]) -> None:
    report = pipeline.run(pipeline.Request([HERE / "exports" / export["file"]]))
    found = report.findings.sort("start", "query").select("query", "severity", "actor", "object").to_dicts()
    assert [row for row in found if row["query"] != "collection-chain"] == export["must_find"]
    assert report.problems == ()
    (tally,) = report.tallies
    assert tally.found == tally.read > 0


def test_each_hunt_on_them_has_one_that_hits() -> None:
    owed = {finding["query"] for export in EXPORTS for finding in export["must_find"]}
    hunts = {path.stem.replace("_", "-") for path in (HERE.parent / "queries").glob("*.py")}
    assert owed == {name for name in hunts if name.startswith(("mail-audit-", "workspace-"))}


def test_the_exports_stay_small() -> None:
    assert sum(path.stat().st_size for path in (HERE / "exports").iterdir()) < 300_000

"""`hunt run --format html`: one page on stdout, with the stories, though nothing is written to a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from lxml import html

from hunt.cli import main
from tests.helpers import quickly


def test_a_page_on_stdout_has_the_findings_of_csv_and_their_stories(samples: Path) -> None:
    arguments = [*quickly(["run", samples / "logs" / "mail-theft.evtx"]), "--quiet", "--format"]
    done = CliRunner().invoke(main, [*arguments, "html"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("<!DOCTYPE html>\n") and done.stdout.endswith("</html>\n")
    tree = html.document_fromstring(done.stdout)
    told, more = (json.loads(tree.xpath(f"//script[@id='{id_}']")[0].text) for id_ in ("page-data", "page-details"))
    ids = {told["texts"][row[0]] for row in told["findings"]["rows"]}
    listed = CliRunner().invoke(main, [*arguments, "jsonl"]).stdout.splitlines()
    assert ids == {json.loads(line)["finding_id"] for line in listed} == set(more["stories"])
    assert "outlook-script-host" in told["docs"]


def test_other_formats_do_not_wait_for_stories(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a story was told that nobody asked for")

    monkeypatch.setattr("hunt.story.tell", fail)
    arguments = [*quickly(["run", samples / "logs" / "mail-theft.evtx"]), "--quiet", "--format", "jsonl"]
    assert CliRunner().invoke(main, arguments).exit_code == 0

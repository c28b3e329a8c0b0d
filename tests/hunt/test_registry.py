"""Every plug-in keeps the contract, from the moment its file exists; and arrows point inward."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from hunt import findings, registry, schema
from hunt.errors import QueryError
from hunt.events import Events
from hunt.model import SYSMON, Batch, EventType, Parser, Report, Severity
from hunt.registry import Query
from samples.evtx_writer import log_bytes, sysmon_process
from tests.helpers import OUTLOOK, ROOT, batch, case, event

PARSERS = registry.parsers()
QUERIES = registry.queries()


def report() -> Report:
    return Report(
        findings=pl.DataFrame(schema=findings.COLUMNS),
        events=pl.DataFrame(schema=findings.EVENT_COLUMNS),
        queries=(),
        problems=(),
        tallies=(),
        skipped=(),
        hosts=(),
        unparsed=0,
    )


def test_parsers_queries_and_outputs_are_found() -> None:
    assert "evtx" in [parser.name for parser in PARSERS]
    assert "outlook-script-host" in [query.hunt.id for query in QUERIES]
    assert registry.formats() == sorted(registry.formats())
    assert {"csv", "jsonl", "table"} <= set(registry.formats())


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_a_parser_has_a_name_and_knows_its_files_by_content(parser: Parser) -> None:
    assert re.fullmatch("[a-z0-9-]+", parser.name)
    assert not parser.accepts(b"")
    assert not parser.accepts(b"\0" * 8192)
    assert not parser.accepts(b"no event log, whatever its name" * 200)


def test_no_two_parsers_accept_the_same_file() -> None:
    log = log_bytes([sysmon_process(Image=OUTLOOK)])
    assert sum(parser.accepts(log[:8192]) for parser in PARSERS) == 1


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.hunt.id)
def test_a_query_says_what_it_is(query: Query) -> None:
    hunt = query.hunt
    assert query.file.rpartition(".")[0] == f"queries/{hunt.id.replace('-', '_')}"
    assert query.file.endswith((".py", ".eql", ".yml"))
    assert (ROOT / query.file).is_file()
    assert hunt.title and not hunt.title.endswith(".")
    assert isinstance(hunt.severity, Severity)
    assert 0 <= hunt.risk_score <= 100
    assert hunt.attack and all(re.fullmatch(r"T\d{4}(\.\d{3})?", technique) for technique in hunt.attack)
    needs = [*hunt.needs, *(need for group in hunt.any_of for need in group)]
    assert needs and all(need.columns for need in needs)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.hunt.id)
@pytest.mark.parametrize("part", ["Why it matters:", "Looks alike, is harmless:", "Blind when:", "See: https://"])
def test_a_query_documents_itself(query: Query, part: str) -> None:
    assert f"\n{part}" in query.hunt.doc


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.hunt.id)
def test_a_query_finds_nothing_in_nothing_and_returns_what_a_hunt_returns(query: Query) -> None:
    found = query.hunt.find(case()).collect()
    assert found.height == 0
    kinds = [findings.PLACED] if query.rule else [findings.REFERENCE, findings.NAMED]
    assert found.schema["events"] in map(pl.List, kinds)
    assert set(found.columns) - {"events"} <= set(findings.COLUMNS)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.hunt.id)
def test_a_query_names_every_column_it_reads(query: Query) -> None:
    """With just these columns and those of every frame it still runs, on an event of each kind that it names."""
    bare = Events(query.hunt.wanted)
    for kind in {need.event_type.key: need.event_type for need in query.hunt.wanted}.values():
        bare.add(_bare(kind))
        named = {name for other in query.hunt.wanted if other.event_type.key == kind.key for name in other.columns}
        assert set(bare.frame(*kind).collect_schema()) <= {*schema.CORE, *schema.SYSTEM, "sources", *named}
    query.hunt.find(bare).collect()
    for part in query.hunt.unknowns:
        part.counts(bare).collect()


@cache
def _bare(kind: EventType) -> Batch:
    return batch(event(kind.event_id, channel=kind.channel))


@pytest.mark.parametrize("name", registry.formats())
def test_an_output_writes_a_report_of_nothing(name: str) -> None:
    below = io.BytesIO()
    out = io.TextIOWrapper(below, encoding="utf-8")
    output = registry.output(name)
    output.write(report(), out)
    out.flush()
    assert getattr(output, "BINARY", False) or b"\x1b" not in below.getvalue()


def test_queries_are_selected_once_and_in_their_order() -> None:
    ids = [query.hunt.id for query in QUERIES]
    on_request = [query.hunt.id for query in QUERIES if query.rule and registry.ON_REQUEST in query.rule.tags]
    assert [query.hunt.id for query in registry.select([])] == [id_ for id_ in ids if id_ not in on_request]
    assert [query.hunt.id for query in registry.select([*ids[::-1], *ids])] == ids


def test_an_unknown_query_is_named_with_those_there_are() -> None:
    with pytest.raises(QueryError, match=r"no query is called 'nope'.*outlook-script-host"):
        registry.select(["outlook-script-host", "nope"])


def test_severities_are_ranked_weakest_first() -> None:
    assert [s.value for s in sorted(Severity, key=lambda s: s.rank)] == [
        "informational", "low", "medium", "high", "critical",
    ]  # fmt: skip


# Arrows point inward: hunt/ never imports a parser or a query by name.


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, as absolute names (`.x` for relative ones)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", _modules("hunt"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_hunt_imports_no_parser_and_no_query_by_name(path: Path) -> None:
    named = [name for name in _imports(path) if re.match(r"(hunt\.)?(parsers|queries)(\.|$)", name)]
    assert named == (["hunt.parsers", "hunt.queries"] if path == ROOT / "hunt" / "registry.py" else [])


@pytest.mark.parametrize("folder", ["parsers", "queries"])
def test_parsers_and_queries_import_only_inward_and_from_beside_them(folder: str) -> None:
    outward = re.compile(r"(hunt\.)?(cli|pipeline|registry|output|parsers|queries|samples|tests)(\.|$)")
    wrong = [(path.name, name) for path in _modules(folder) for name in _imports(path) if outward.match(name)]
    assert wrong == []


def test_no_shipped_module_imports_an_oracle_of_the_tests() -> None:
    oracle = re.compile(r"(evtx|pyevtx|dissect|eql|hypothesis|pytest)(\.|$)")
    paths = [path for folder in ("hunt", "parsers", "queries") for path in _modules(folder)]
    found = [(path.name, name) for path in paths for name in _imports(path) if oracle.match(name)]
    assert {entry for entry in found if not _for_images(*entry)} == set()


def test_the_libraries_of_the_extra_for_images_are_imported_once_they_are_needed() -> None:
    paths = [path for path in _modules("hunt/containers") if any(_for_images(path.name, n) for n in _imports(path))]
    assert len(paths) == 3
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^(from|import) dissect", text, re.MULTILINE), path


def _for_images(file: str, name: str) -> bool:
    return name.startswith("dissect.") and file in ("_disk.py", "_ext.py", "_ntfs.py")


def test_sysmon_is_the_channel_that_sysmon_names() -> None:
    assert SYSMON == "Microsoft-Windows-Sysmon/Operational"

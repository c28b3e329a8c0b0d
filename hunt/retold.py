"""An earlier run's folder as a whole Report again: for formats that also tell what was read and what could not be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from hunt import browse, earlier, registry
from hunt.coverage.facts import FACTS
from hunt.earlier import Earlier
from hunt.errors import HuntError
from hunt.model import Evidence, Problem, QueryResult, Report, Status, Tally
from hunt.output._rows import PROBLEMS, QUERIES
from hunt.story.columns import COLUMNS, STATUSES, STEPS


def report(known: Earlier, kept: pl.DataFrame) -> Report:
    """Some of its findings and all else that the folder tells; `hidden` says how many others each query has.

    What queries mean is told of those that we have. Raises HuntError for files that are none of ours.
    """
    told, folder = known.manifest, known.folder
    brief = browse.report(known, kept)
    ours = {query.hunt.id: query.hunt for query in registry.queries()}
    queries = tuple(_queries(known))
    named = dict(kept.explode("techniques").drop_nulls("techniques").group_by("query").agg("techniques").iter_rows())
    asked = {query.query for query in queries}
    techniques = {query: tuple(dict.fromkeys(names)) for query, names in named.items()}
    techniques |= {id_: hunt.attack for id_, hunt in ours.items() if id_ in asked}
    other = known.findings.join(kept.select("finding_id"), on="finding_id", how="anti")
    hidden = {"": _count(told.get("findings_hidden")), **dict(other.group_by("query").len().iter_rows())}
    given = told.get("options")
    options: dict[str, object] = given if isinstance(given, dict) else {}
    return Report(
        findings=brief.findings,
        events=_with_fields(folder / "events.csv", brief.events),
        queries=queries,
        problems=tuple(_problems(known)),
        tallies=tuple(_tallies(told)),
        skipped=_texts(told.get("skipped")),
        hosts=_texts(told.get("hosts")) or brief.hosts,
        unparsed=_count(told.get("values_unparsed")),
        options={**options, "csv": "raw" if known.raw else "safe", "retold": f"by hunt findings, of {folder.name}"},
        containers=tuple(_evidence(item) for item in _objects(told.get("containers"))),
        rules={str(q.get("query")): q["sha256"] for q in _objects(told.get("queries")) if _is_text(q.get("sha256"))},
        hidden={query: count for query, count in hidden.items() if count},
        interrupted=told.get("complete") is not True,
        unread=_texts(told.get("not_read")),
        coverage=earlier.table(folder / "coverage.csv", FACTS, ("kind", "host"), known.raw)
        if (folder / "coverage.csv").exists()
        else None,
        story=_story(known, kept),
        left_out=_count(told.get("rules_left_out")),
        docs={id_: hunt.doc for id_, hunt in ours.items() if id_ in asked},
        techniques=techniques,
    )


def _queries(known: Earlier) -> Iterator[QueryResult]:
    path = known.folder / "queries.csv"
    if not path.exists():
        return
    for row in earlier.table(path, QUERIES, ("query", "status"), known.raw).iter_rows(named=True):
        try:
            status = Status(row["status"])
            hosts = [tuple(map(str, json.loads(row[c] or "[]"))) for c in ("hosts_ran", "hosts_not_evaluable")]
        except (ValueError, TypeError, RecursionError):
            raise HuntError(f"{path}: is no queries.csv of ours") from None
        query, title, file, reason = (str(row[c] or "") for c in ("query", "title", "file", "reason"))
        yield QueryResult(query, title, file, status, reason, hosts[0], hosts[1], row["findings"] or 0)


def _problems(known: Earlier) -> Iterator[Problem]:
    path = known.folder / "problems.csv"
    if path.exists():
        for row in earlier.table(path, PROBLEMS, ("source", "reason"), known.raw).iter_rows(named=True):
            source, kind, reason = (str(row[c] or "") for c in ("source", "kind", "reason"))
            yield Problem(source, kind, reason, row["channel"], row["offset"], row["record_id"])


def _story(known: Earlier, kept: pl.DataFrame) -> pl.DataFrame | None:
    path = known.folder / "story.csv"
    if not path.exists():
        return None
    story = earlier.table(path, COLUMNS, ("finding_id", "step", "status"), known.raw)
    own = story.filter(pl.col("finding_id").is_in(kept["finding_id"].implode()))
    strange = ~(pl.col("step").is_in(STEPS) & pl.col("status").is_in(STATUSES)).fill_null(value=False)
    if own.filter(strange).height:
        raise HuntError(f"{path}: is no story.csv of ours: it has steps that no story has")
    return _with_fields(path, own)


def _with_fields(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The same, once it is sure that `fields` are JSON objects."""
    for text in rows["fields"].drop_nulls():
        try:
            fine = not text or isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            fine = False
        if not fine:
            raise HuntError(f"{path}: is no {path.name} of ours: fields that are no JSON object")
    return rows


# Of manifest.json, which may be anything.


def _tallies(told: Mapping[str, Any]) -> Iterator[Tally]:
    for item in _objects(told.get("evidence")):
        counts = (_count(item.get(name)) for name in ("records_found", "records_read", "problems"))
        yield Tally(_evidence(item), str(item.get("parser")), *counts)


def _evidence(item: Mapping[str, Any]) -> Evidence:
    source = str(item.get("source"))
    return Evidence(Path(source), source, _count(item.get("size")), str(item.get("sha256")))


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(_is_text, value)) if isinstance(value, list) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

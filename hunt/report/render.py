"""One HTML file out of a report: data, styles and scripts inside, and a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hunt import __version__
from hunt.filters import GRADES
from hunt.model import Report, Severity
from hunt.report.advice import paragraphs
from hunt.report.details import details
from hunt.report.findings import MOST, foremost, longest, marks, packed
from hunt.report.summary import summary
from hunt.report.tables import tables
from hunt.report.texts import Texts, shown

_PLACE = Path(__file__).parent
# In the order in which they run. Ours are one script: they share what they define.
_LIBRARIES = ("jquery.slim.min.js", "dataTables.min.js", "echarts.common.min.js")
_LICENCES = (
    *("jquery.LICENSE.txt", "dataTables.LICENSE.txt"),
    *("echarts.NOTICE.txt", "echarts.LICENSE.txt", "echarts-d3.LICENSE.txt"),
)
_OURS = ("base.js", "table.js", "tree.js", "finding.js", "findings.js", "timeline.js", "start.js")


def page(report: Report) -> str:
    """The whole page; the same report gives the same text."""
    findings = foremost(report.findings).head(MOST)
    texts = Texts(longest(findings))
    drawn, undrawn = marks(findings, report.events)
    queries = findings["query"].unique(maintain_order=True)
    told = details(findings, report.events, report.story)
    ids = findings["finding_id"].unique()
    data = {
        "findings": packed(findings, texts),
        "texts": texts.all,
        "marks": drawn,
        "undrawn": undrawn,
        "docs": {query: paragraphs(report.docs[query]) for query in queries if query in report.docs},
        "severities": [severity.value for severity in reversed(Severity)],
        "grades": GRADES,
        "tables": tables(report),
        "version": __version__,
    }
    styles = [_style(_text("report.css"))]
    scripts = [*(_script(_text(f"vendor/{name}")) for name in _LIBRARIES), _script(_ours())]
    return _environment().get_template("page.html").render(
        summary=summary(report),
        policy=_policy(styles, scripts),
        styles=styles,
        scripts=scripts,
        data=embedded(data),
        details=embedded(told.packed()),
        without={
            "findings": report.findings.height - findings.height,
            "events": len(ids) - len(told.events),
            "story": len(ids) - len(told.stories),
        },
        options=[(str(name), _said(value)) for name, value in sorted(report.options.items())],
        skipped=len(report.skipped),
        licences=[_text(f"vendor/{name}") for name in _LICENCES],
        version=__version__,
        complete=not report.interrupted,
    )  # fmt: skip


def embedded(value: object) -> Markup:
    """JSON that can stand in a script element: nothing in it begins a tag, a comment or a character reference."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":  # in JSON, these can only stand inside strings
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - what could act is escaped


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(_PLACE, encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["shown"] = shown
    made.filters["number"] = "{:,}".format
    return made


@cache
def _text(name: str) -> str:
    return (_PLACE / name).read_text(encoding="utf-8")


@cache
def _ours() -> str:
    body = "\n".join(_text(f"script/{name}") for name in _OURS)
    return f'(() => {{\n"use strict";\n{body}\n}})();\n'


def _script(text: str) -> Markup:
    """Ours or a library's: as it is."""
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a script that would end before its end")
    return Markup(text)  # noqa: S704 - no evidence in it


def _style(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - no evidence in it


def _policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """Content-Security-Policy: what stands in the file by its hash, nothing from elsewhere, nothing to elsewhere."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",  # an empty icon: browsers look for one elsewhere
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

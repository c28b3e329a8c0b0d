"""The page as a browser shows it: nothing leaves it, search, sort and tree work, hostile text stays text."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hunt.model import Report
from hunt.output._rows import safe_cells
from hunt.report import findings, page
from tests.hunt.report.browser import Browser, browser
from tests.hunt.report.reports import hostile, many, of_samples


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as session:
        yield session


@pytest.fixture(scope="module")
def report(samples: Path, shown: Browser) -> Report:
    return of_samples(samples)


@pytest.fixture(scope="module")
def few(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(report, tmp_path_factory.mktemp("few"))


def written(report: Report, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(page(report), encoding="utf-8")
    return path


DEEDS = "#list tbody .link"  # one a finding that is listed


def test_a_page_opens_without_a_word_in_the_console_or_on_the_wire(shown: Browser, few: Path) -> None:
    shown.open(few)
    assert shown.run("return document.documentElement.dataset.ready") == ""
    shown.run("scrollTo(0, document.body.scrollHeight)")
    time.sleep(0.3)  # tables further down are made now
    shown.run("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")
    assert shown.complaints() == []
    assert list(shown.requests()) == [few.as_uri()]
    assert len(shown.texts("#custody table tbody tr")) >= 3


def test_what_is_not_in_the_page_may_not_run_or_load(shown: Browser, few: Path) -> None:
    """The policy holds: else the test before this one would prove little."""
    shown.open(few)
    shown.run(
        "const bad = '<img src=https://example.invalid/x.png onerror=window.pwned=1>';"
        "document.body.insertAdjacentHTML('beforeend', bad);"
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 2'; document.body.append(s);"
        "fetch('https://example.invalid/').catch(() => {});"
    )
    time.sleep(0.2)
    assert shown.run("return window.pwned") is None
    assert len([said for said in shown.complaints() if "Content Security Policy" in said]) >= 3
    asked = {url: why for url, why in shown.requests().items() if "example.invalid" in url}
    assert asked and set(asked.values()) == {"csp"}


def test_search_filter_and_sort_work_by_keyboard_too(shown: Browser, few: Path, report: Report) -> None:
    shown.open(few)
    live = report.findings.height - 1
    assert len(shown.texts(DEEDS)) == live
    assert len(shown.texts("#list-suppressed tbody .link")) == 1
    shown.set("#list input", "WINWORD nowhere")
    assert shown.texts(DEEDS) == []
    shown.set("#list input", "collect.PS1 alice")  # in the command line, in any case, both
    assert 1 <= len(shown.texts(DEEDS)) < live
    assert all("powershell.exe" in deed for deed in shown.texts(DEEDS))
    shown.set("#list input", "")
    shown.set("#list select", "high")
    assert len(shown.texts(DEEDS)) == report.findings.filter(severity="high").height
    shown.set("#list select", "")
    header = "#list thead th:nth-child(2)"
    sorting = f"return document.querySelector('{header}').ariaSort"
    orders = []
    for _ in range(2):
        before = shown.run(sorting)
        shown.run(f"document.querySelector('{header} [role=button]').focus()")
        shown.driver.switch_to.active_element.send_keys("\ue007")  # Enter
        shown.comes(f"{sorting} !== arguments[0]", before)  # tables are sorted once the browser has time
        orders.append((shown.run(sorting), shown.texts("#list tbody td:nth-child(2)")))
    for direction, met in orders:
        assert met == sorted(met, reverse=direction == "descending")
    assert {direction for direction, _ in orders} == {"ascending", "descending"}


def test_a_finding_opens_with_its_tree_story_and_events(shown: Browser, few: Path, report: Report) -> None:
    (wanted,) = report.findings.filter(query="outlook-script-host", grade="B", severity="high").head(1).to_dicts()
    shown.open(few, f"#finding={wanted['finding_id']}")
    heading = shown.run("return document.activeElement.id")
    assert heading == f"finding-{wanted['finding_id']}"
    nested = shown.texts("#finding ul.tree li.process li.target > details strong")
    assert nested == [f"OUTLOOK.EXE ({wanted['target_pid']})"]
    (edge,) = shown.texts("#finding li.target > .edge")
    assert edge.startswith("grade B asked for it: ") and wanted["evidence"][0] in edge
    shown.run("document.querySelector('#finding li.process > details > summary').click()")
    assert wanted["process_guid"] in shown.run(
        "return document.querySelector('#finding li.process > details').innerText"
    )
    said = shown.run("return document.getElementById('finding').textContent")
    for title in ("Process tree", "Story", "Events", "About this query", "Looks alike, is harmless"):
        assert title in said
    number = report.events.filter(finding_id=wanted["finding_id"]).height
    assert len(shown.texts("#finding ol.events > li")) == number


def test_the_picture_zooms_and_leads_to_findings(shown: Browser, few: Path, report: Report) -> None:
    shown.open(few)
    chart = "const chart = echarts.getInstanceByDom(document.getElementById('picture'));"
    shown.click("#picture-tools button")
    assert shown.run(f"{chart} return chart.getOption().dataZoom[0].start") == 25
    shown.click("#picture-tools button:last-child")
    x, y, place = shown.run(
        f"{chart} document.getElementById('picture').scrollIntoView({{ block: 'center' }});"
        "const [point] = chart.getOption().series.find((one) => one.name === 'critical').data;"
        "const at = chart.getDom().getBoundingClientRect();"
        "const [x, y] = chart.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, point.value);"
        "return [x + at.left, y + at.top, point.value[2]]"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        shown.mouse(kind, x, y)
    order = findings.foremost(report.findings)["finding_id"]
    shown.comes("return location.hash")
    assert shown.run("return location.hash") == f"#finding={order[place]}"
    said = shown.run("return document.getElementById('picture').ariaLabel")
    assert said.startswith(f"Timeline of {report.findings.height} findings on ")


def saved(shown: Browser) -> list[dict[str, str]]:
    """The rows of the list of findings, as its button saves them."""
    file = shown.downloads / "findings.csv"
    file.unlink(missing_ok=True)
    shown.click("#list .tools button")
    until = time.monotonic() + 10
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def test_saved_csv_holds_what_is_shown(shown: Browser, few: Path, report: Report) -> None:
    shown.open(few)
    rows = saved(shown)
    live = report.findings.filter(report.findings["suppressed"].is_null())
    assert sorted(row["finding_id"] for row in rows) == sorted(live["finding_id"])
    assert list(rows[0]) == report.findings.columns
    known = dict(live.select("finding_id", "command_line").iter_rows())
    assert all(row["command_line"] == (known[row["finding_id"]] or "") for row in rows)
    assert json.loads(rows[0]["techniques"])
    shown.open(few)  # a page saves once without being asked
    shown.set("#list select", "critical")
    assert {row["severity"] for row in saved(shown)} == {"critical"}


def test_saved_csv_runs_no_formula(shown: Browser, report: Report, tmp_path: Path) -> None:
    formula = "=cmd|\"/C calc\",'x'!A0\n"
    quoted = f"'{formula}"
    spoilt = hostile(report, formula)
    shown.open(written(replace(spoilt, findings=spoilt.findings.with_columns(title=pl.lit(quoted))), tmp_path))
    assert {(row["reason"], row["title"]) for row in saved(shown)} == {tuple(safe_cells(pl.Series([formula, quoted])))}


HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1><svg onload=window.pwned=1>"
    "</script></title></textarea><!--<script> \" onmouseover=window.pwned=1 x=' &lt;b&gt; &#60;b&#62; {a|b}"
    " ${window.pwned=1}"
    " =cmd|' /C calc'!A0 \u202eexe.txt\u2066 \0 \x1b[31m \u2028 \ud7ff javascript:window.pwned=1"
)


def test_hostile_text_does_nothing_and_is_seen(shown: Browser, report: Report, tmp_path: Path) -> None:
    shown.open(written(hostile(report, HOSTILE), tmp_path))
    shown.run(
        "for (const link of [...document.querySelectorAll('#list .link')].slice(0, 8)) {"
        "  link.click();"
        "  for (const more of document.querySelectorAll('details')) { more.open = true; }"
        "}"
        "dispatchEvent(new Event('beforeprint'));"
        "for (const all of document.querySelectorAll('*')) all.dispatchEvent(new Event('mouseover'));"
    )
    time.sleep(0.3)
    assert shown.complaints() == []
    assert len(shown.requests()) == 1
    assert shown.run("return window.pwned") is None
    assert (
        shown.run("return document.querySelectorAll('main img, main svg, main script, [onerror], [onload]').length")
        == 0
    )
    text = shown.run("return document.body.textContent")
    assert "<script>window.pwned=1</script>" in text and r"\u202eexe.txt\u2066 \x00 \x1b[31m" in text
    assert not any(hidden in text for hidden in "\u202e\u2066\0\x1b\u2028")


def test_names_that_objects_of_scripts_have_are_names(shown: Browser, report: Report, tmp_path: Path) -> None:
    """`__proto__` as a key would spoil all objects of the page: the chart keeps texts it measures in such."""
    height = report.findings.height
    names = pl.Series([("__proto__", "constructor", "", "toString")[n % 4] for n in range(height)])
    odd = report.findings.with_columns(host=names, user=names, query=names, image=names)
    shown.open(written(replace(report, findings=odd, docs={"constructor": "Next: x"}), tmp_path))
    shown.run("document.querySelectorAll('#list tbody .link').forEach((link) => link.click())")
    shown.run("dispatchEvent(new Event('beforeprint'))")
    assert shown.run("const met = []; for (const name in {}) met.push(name); return met") == []
    assert shown.complaints() == []
    assert len(shown.texts("#table-hosts tbody tr")) == len(report.hosts)


def test_the_steps_of_a_chain_stand_below_one_another_and_lead_on(
    shown: Browser, report: Report, tmp_path: Path
) -> None:
    first, *others = report.findings["finding_id"].head(6)
    steps = [f"2026-03-02T09:00:00.000000Z access on WS01: x; y ({other})" for other in others]
    is_first = pl.col("finding_id") == first
    chain = report.findings.with_columns(
        reason=pl.when(is_first).then(pl.lit("; ".join(("5 phases", *steps, "odd")))).otherwise("reason"),
        evidence=pl.when(is_first).then(pl.lit(steps)).otherwise("evidence"),
    )
    shown.open(written(replace(report, findings=chain), tmp_path), f"#finding={first}")
    assert shown.texts("#finding > article > p.said")[0] == "5 phases; odd"
    listed = [f"2026-03-02 09:00:00access on WS01: x; y ({other})" for other in others]
    assert shown.texts("#finding p.said + ul.acts > li") == listed
    shown.click("#finding p.said + ul.acts button")
    assert shown.run("return location.hash") == f"#finding={others[0]}"


def test_ten_thousand_findings_open_in_three_seconds(shown: Browser, report: Report, tmp_path: Path) -> None:
    long = report.findings["command_line"].fill_null("") + "A" * 1_000_000
    one = report.findings.with_columns(command_line=long).head(1)
    some = many(report, 9_999)
    told = replace(some, findings=some.findings.vstack(one))
    path = written(told, tmp_path)
    assert path.stat().st_size < 20_000_000
    shown.open(path)
    assert 0.1 < shown.busy() < 3
    assert len(shown.texts(DEEDS)) == 25
    live = told.findings["suppressed"].null_count()
    assert f"of {live:,} entries" in shown.texts("#list .dt-info")[0]
    assert shown.complaints() == []


def test_pages_fit_small_screens_and_have_contrast_in_both_themes(shown: Browser, few: Path, tmp_path: Path) -> None:
    shown.open(few)
    for width in (1280, 400):
        for dark in (False, True):
            shown.look(width, dark)
            assert shown.comes("return matchMedia('(prefers-color-scheme: dark)').matches === arguments[0]", dark)
            assert shown.comes("return document.documentElement.scrollWidth === arguments[0]", width)
            assert shown.run(_FAINT) == []


# Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3 AA), of those that are shown.
_FAINT = r"""
const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const bright = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
const parsed = (text) => text.match(/[\d.]+/g).map(Number);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parsed(getComputedStyle(at).backgroundColor);
    if ((colour[3] ?? 1) > 0) return colour;
  }
  return [255, 255, 255];
};
const faint = new Set();
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility() || element.disabled || element.matches("script, style, .unseen")) continue;
  const [one, other] = [bright(parsed(getComputedStyle(element).color)), bright(behind(element))];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const name = `${element.tagName}.${element.className}`;
  if (ratio < 4.5) faint.add(`${name} ${ratio.toFixed(2)} ${element.textContent.slice(0, 30)}`);
}
return [...faint];
"""

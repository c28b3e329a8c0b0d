// The list of findings, the one that is open, and the address that leads to it.

const COLUMNS = page.findings.columns.map(([name]) => name);
const exportedFinding = {
  header: COLUMNS,
  cells: (finding) => COLUMNS.map((name) => {
    const value = finding[name];
    return Array.isArray(value) ? JSON.stringify(value) : typeof value === "boolean" ? String(value) : value;
  }),
};

const lists = [];
let opened = null;

function findingTable(id, name, caption, rows) {
  const holder = document.getElementById(id);
  if (!rows.length) {
    holder.append(el("p", { class: "quiet" }, "None."));
    return null;
  }
  const made = makeTable({
    holder, name, caption, rows, exported: exportedFinding,
    order: [[0, "desc"], [1, "asc"]],
    columns: [
      { title: "Severity", text: (f) => f.severity, number: (f) => rankOf.get(f.severity), node: (f) => severityMark(f.severity) },
      { title: "When (UTC)", text: (f) => moment(f.start ?? f.end), node: (f) => el("span", { class: "when" }, moment(f.start ?? f.end)), style: "wide-only" },
      { title: "What", text: deed, node: what, style: "what" },
      { title: "Grade", text: (f) => f.grade, number: (f) => gradeRank.get(f.grade), node: (f) => el("span", { title: own(GRADES, f.grade) }, f.grade ?? ""), style: "wide-only" },
      { title: "Host, user", text: (f) => [f.host, f.user].filter(Boolean).join(", "), node: where, style: "wide-only" },
      { title: "Technique", text: (f) => f.techniques.join(" "), node: (f) => el("div", {}, ...f.techniques.map((one) => el("div", {}, one))), style: "wide-only" },
    ],
    filters: [
      { title: "Severity", value: (f) => f.severity, order: (severity) => rankOf.get(severity) },
      { title: "Host", value: (f) => f.host },
      { title: "Query", value: (f) => f.query },
      { title: "Grade", value: (f) => f.grade, order: (grade) => gradeRank.get(grade) },
    ],
  });
  lists.push(made);
  return made;
}

function where(finding) {
  return el("div", {}, el("div", {}, finding.host ?? ""), el("div", { class: "quiet" }, finding.user ?? ""));
}

/** What opens the finding; on small screens also where it was. */
function what(finding) {
  return el("div", {},
    button(deed(finding), () => open(finding), { class: "link", "data-finding": finding.finding_id }),
    el("div", { class: "quiet" }, finding.title ?? finding.query),
    el("div", { class: "narrow-only quiet" }, [moment(finding.end ?? finding.start), finding.host, finding.user, finding.grade && `grade ${finding.grade}`].filter(Boolean).join(", ")),
    finding.suppressed === null ? null : el("div", { class: "quiet" }, `suppressed: ${finding.suppressed}`),
  );
}

const place = document.getElementById("finding");

/** Show a finding below the list and lead there. */
function open(finding, lead = true) {
  const list = lists.find((made) => made?.current().includes(finding));
  const row = list ? list.current() : [];
  const at = row.indexOf(finding);
  const step = (text, to) => button(text, () => open(to), { disabled: !to });
  const shown = article(finding, open);
  opened = finding;
  place.replaceChildren(
    el("div", { class: "tools" },
      step("← Previous", row[at - 1]), step("Next →", at < 0 ? null : row[at + 1]),
      button("Back to the list", () => backTo(finding)),
    ),
    shown,
  );
  place.hidden = false;
  for (const made of document.querySelectorAll("tr.open")) made.classList.remove("open");
  document.querySelector(`[data-finding="${finding.finding_id}"]`)?.closest("tr").classList.add("open");
  if (!lead) return;
  history.replaceState(null, "", `#finding=${finding.finding_id}`);
  shown.querySelector("h3").focus({ preventScroll: true });
  place.scrollIntoView({ block: "start" });
}

function backTo(finding) {
  const link = document.querySelector(`[data-finding="${finding.finding_id}"]`);
  (link ?? document.getElementById("findings-title")).focus();
  document.getElementById("findings").scrollIntoView({ block: "start" });
}

/** The finding that the address names, if it does. */
function named() {
  const found = /^#finding=([0-9a-f]{16})$/.exec(location.hash);
  return found ? byId.get(found[1]) : null;
}

// What the page knows, and how it makes elements. Evidence becomes text nodes, never markup.

const parsed = (id) => JSON.parse(document.getElementById(id).textContent);
const page = parsed("page-data");

/** The larger part, read once somebody opens a finding. */
let readDetails = null;
function details() {
  readDetails ??= parsed("page-details");
  return readDetails;
}

/** An element; children are elements or texts, null is left out. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function button(text, act, attributes) {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/** Rows as objects; `text` stands for a place in `texts`, `list` for several. */
function unpacked({ columns, rows }, texts) {
  return rows.map((row, place) => {
    const made = { place };
    columns.forEach(([name, kind], at) => {
      const cell = row[at];
      made[name] = kind === "text" ? texts[cell] : kind === "list" ? cell.map((item) => texts[item]) : cell;
    });
    return made;
  });
}

/** What an object has under a name that may be anything, `constructor` too; undefined if it has none. */
const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

const findings = unpacked(page.findings, page.texts);
const byId = new Map(findings.map((finding) => [finding.finding_id, finding]));
const rankOf = new Map(page.severities.map((name, place) => [name, page.severities.length - place]));
const gradeRank = new Map(page.grades.map((name, place) => [name, page.grades.length - place]));

const fileName = (path) => (path === null ? "unknown" : path.replaceAll("/", "\\").split("\\").pop() || path);
const moment = (text) => (text === null ? "" : text.slice(0, 19).replace("T", " "));
const millis = (text) => (text === null ? null : Date.parse(`${text.slice(0, 23)}Z`));
const counted = (number, thing, things) =>
  `${number.toLocaleString("en")} ${number === 1 ? thing : things ?? `${thing}s`}`;
const shortened = (text, most) => (text.length <= most ? text : `${text.slice(0, most)}…`);
const withPid = (image, pid) => {
  if (image === null) return pid === null ? "unknown" : `process ${pid}`;
  return pid === null ? fileName(image) : `${fileName(image)} (${pid})`;
};

/** Who started or did what, in one line. */
function deed(finding) {
  const named = finding.image !== null || (finding.pid !== null && finding.actor === null);
  const who = named ? withPid(finding.image, finding.pid) : "";
  if (finding.target_image !== null || finding.target_pid !== null || finding.grade !== null) {
    return `${who || "unknown"} → ${withPid(finding.target_image, finding.target_pid)}`;
  }
  const what = [finding.action, finding.object].filter(Boolean).join(": ");
  if (finding.parent_image !== null && !what) return `${fileName(finding.parent_image)} → ${who}`;
  const sid = /^S-1-/.test(finding.actor ?? "") && finding.user !== null;
  const actor = who || (sid ? finding.user : finding.actor) || "";
  return shortened([actor, what].filter(Boolean).join(": "), 240) || "event";
}

function severityMark(severity) {
  return el("span", { class: `severity ${severity}` }, severity);
}

const GRADES = {
  direct: "the log names it as the parent process",
  A: "the COM service opened requester and child in the same thread",
  B: "a command line, script or WMI call names the act",
  C: "a COM client of the same logon session; for review",
  D: "the same logon session and time; a lead",
  E: "the same user, session and time; a lead",
  F: "the time alone; a lead",
};

function gradeMark(grade) {
  return el("span", { class: "grade", title: own(GRADES, grade) }, grade === "direct" ? "direct" : `grade ${grade}`);
}

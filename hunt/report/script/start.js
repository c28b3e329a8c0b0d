// What happens when the page opens, is printed, or changes its theme.

const live = findingTable("list", "findings", "Findings, the severest first", findings.filter((f) => f.suppressed === null));
findingTable("list-suppressed", "suppressed findings", "Findings that the allowlist says are harmless", findings.filter((f) => f.suppressed !== null));
const picture = drawTimeline();

// Tables further down are made when they come near, or are printed.
const waiting = new Map([
  ["hosts", () => plainTable("hosts", "Hosts of the evidence")],
  ["queries", () => plainTable("queries", "Queries and what became of them", ["Status"])],
  ["coverage", () => plainTable("coverage", "What the logs hold, and their holes", ["What", "Host"])],
  ["files", () => plainTable("files", "Files that were read")],
  ["containers", () => plainTable("containers", "Archives and images that files came out of")],
  ["problems", () => plainTable("problems", "What could not be read", ["Kind"])],
]);
function make(name) {
  const build = waiting.get(name);
  waiting.delete(name);
  const made = build?.();
  if (made) lists.push(made);
}
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) make(target.id.slice("table-".length));
}, { rootMargin: "800px" });
for (const name of waiting.keys()) near.observe(document.getElementById(`table-${name}`));

// Light or dark: as the system has it until somebody chooses.
const dark = matchMedia("(prefers-color-scheme: dark)");
const switcher = document.getElementById("theme");
function repaint() {
  const isDark = (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  switcher.textContent = isDark ? "Light" : "Dark";
  switcher.setAttribute("aria-label", isDark ? "Light colours" : "Dark colours");
  picture?.paint();
}
switcher.addEventListener("click", () => {
  document.documentElement.dataset.theme = switcher.textContent.toLowerCase();
  repaint();
});
dark.addEventListener("change", repaint);
switcher.hidden = false;
repaint();

// On paper: more rows of each table, and the foremost findings whole.
const ON_PAPER = { rows: 500, findings: 25 };
const printed = document.getElementById("printed");
let before = null;
addEventListener("beforeprint", () => {
  for (const name of [...waiting.keys()]) make(name);
  before = { theme: document.documentElement.dataset.theme, lengths: lists.map((list) => list?.shown.page.len()) };
  document.documentElement.dataset.theme = "light";
  picture?.print(true);
  for (const list of lists) list?.shown.page.len(ON_PAPER.rows).draw();
  const rows = live?.current() ?? [];
  const whole = rows.slice(0, ON_PAPER.findings).filter((finding) => finding !== opened);
  printed.replaceChildren(...whole.map((finding) => article(finding, open)));
  if (rows.length > ON_PAPER.findings) {
    printed.append(el("p", { class: "note" }, `${rows.length - ON_PAPER.findings} more findings are not printed whole.`));
  }
});
addEventListener("afterprint", () => {
  if (before.theme) document.documentElement.dataset.theme = before.theme;
  else delete document.documentElement.dataset.theme;
  lists.forEach((list, at) => list?.shown.page.len(before.lengths[at]).draw());
  printed.replaceChildren();
  picture?.print(false);
});

addEventListener("hashchange", () => named() && open(named()));
if (named()) open(named());
else if (findings.length) setTimeout(() => opened ?? open(findings[0], false)); // the page is seen first
document.documentElement.dataset.ready = "";

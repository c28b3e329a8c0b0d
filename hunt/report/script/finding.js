// One finding whole: what happened, why it was found, its tree, its story, its events, what to do next.

const [SEEN, MORE, NONE, ABSENT] = ["seen", "more", "none", "absent"];

/** The acts of a finding's story as objects, how many are left out; null if the page has no story of it. */
function storyOf(finding) {
  const { stories, texts, steps, status, known } = details();
  const packed = own(stories, finding.finding_id);
  if (!packed) return null;
  const acts = packed[1].map((row) => ({
    step: steps[row[0]], status: status[row[1]], time: texts[row[2]], subject: texts[row[3]], pid: row[4],
    image: texts[row[5]], text: texts[row[6]], channel: texts[row[7]], event: row[8], record: row[9],
    source: row[10].length ? [texts[row[10][0]], row[10][1]] : null,
    known: row[11] ? unpacked({ columns: known, rows: [row[11]] }, texts)[0] : null,
    evidence: row[12].map((place) => texts[place]),
  }));
  return { acts, left: packed[0] };
}

function eventsOf(finding) {
  const { events, texts } = details();
  const packed = own(events, finding.finding_id);
  if (!packed) return null;
  const rows = packed[1].map(([step, time, host, channel, event, record, sources, fields, left]) => ({
    step, time: texts[time], host: texts[host], channel: texts[channel], event, record, left,
    sources: pairs(sources).map(([path, offset]) => [texts[path], offset]),
    fields: pairs(fields).map(([name, value]) => [texts[name], texts[value]]),
  }));
  return { rows, left: packed[0] };
}

const pairs = (flat) => flat.flatMap((value, at) => (at % 2 ? [] : [[value, flat[at + 1]]]));

/** A finding as an article; `heading`: h3 on the page. `open(finding)` is called for links to others. */
function article(finding, open) {
  const story = storyOf(finding);
  const acts = story ? story.acts : null;
  const title = el("h3", { tabindex: "-1", id: `finding-${finding.finding_id}` }, finding.title ?? finding.query);
  const marks = el("p", { class: "marks" },
    severityMark(finding.severity),
    finding.grade ? gradeMark(finding.grade) : null,
    finding.confidence ? el("span", { class: "grade" }, `confidence ${finding.confidence}`) : null,
    finding.suppressed !== null ? el("span", { class: "grade" }, "suppressed") : null,
    ...finding.techniques.map((technique) => el("span", { class: "technique" }, technique)),
  );
  return el("article", { "aria-labelledby": title.id },
    title, marks,
    el("p", { class: "deed" }, deed(finding)),
    ...reasonPart(finding, open),
    finding.suppressed !== null ? el("p", { class: "note" }, `Suppressed by the allowlist: ${finding.suppressed}`) : null,
    factList(factsOf(finding)),
    ...treePart(finding, acts), ...nextPart(finding), ...storyPart(finding, story, open), ...eventPart(finding),
    ...queryPart(finding),
  );
}

const FEW_PARTS = 3; // that a sentence can take
const STEP_TIME = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z /;

/** Whether the reason tells the evidence again, as a chain's tells its steps. */
function isChain({ reason, evidence }) {
  return evidence.filter((item) => reason?.includes(`; ${item}`)).length > FEW_PARTS;
}

function reasonPart(finding, open) {
  const { reason, evidence } = finding;
  if (!reason) return [];
  if (!isChain(finding)) return [el("p", { class: "said" }, reason)];
  const cut = /… \([\d,]+ characters\)$/.test(reason);
  const rest = evidence.reduce((left, item) => left.replace(`; ${item}`, () => ""), reason);
  const steps = evidence.map((item) => {
    const [, id] = /\(([0-9a-f]{16})\)$/.exec(item) ?? [];
    const other = byId.get(id);
    const text = item.replace(STEP_TIME, "");
    const [, day, time] = STEP_TIME.exec(item) ?? [];
    return el("li", {},
      day ? el("span", { class: "when" }, `${day} ${time}`) : null,
      other && other !== finding ? button(text, () => open(other), { class: "link" }) : text,
    );
  });
  return [
    el("p", { class: "said" }, cut ? rest.split("; ")[0] : rest),
    el("ul", { class: "acts" }, ...steps),
    evidence.at(-1).startsWith("… and ") ? el("p", { class: "note" }, "All of it stands in findings.csv.") : null,
  ].filter(Boolean);
}

function factsOf(finding) {
  const span = finding.span_seconds === null ? null : `${finding.span_seconds} s`;
  const rivals = finding.competitors === null ? null
    : `${finding.competitors}${finding.ambiguous ? ", ambiguous: not only a wrapper fits as well" : ""}`;
  return [
    ["Host", finding.host], ["User", finding.user], ["From (UTC)", finding.start], ["To (UTC)", finding.end],
    ["Between", span], ["Others that fit as well", rivals], ["Actor", finding.actor], ["Action", finding.action],
    ["Object", finding.object], ["Address", finding.source_ip], ["Locality", finding.locality],
    ["Origin of the user", finding.origin], ["Took over by a running Outlook", finding.attached ? "yes" : null],
    ["Signer", finding.signer], ["SHA-256", finding.sha256],
    ["What speaks for it", isChain(finding) ? null : finding.evidence.join("; ")],
    ["Query", finding.query], ["Risk score", finding.risk_score], ["Finding", finding.finding_id],
    ["Evidence", finding.sources.join(", ")],
  ];
}

function part(title, ...content) {
  return [el("h4", {}, title), ...content];
}

const IN_TREE = new Set(["process", "target", "attached", "ancestor", "descendant"]);

function treePart(finding, acts) {
  const roots = treeOf(finding, acts);
  if (!roots.length) return [];
  const unknown = finding.target_image !== null && finding.image === null;
  const notes = (acts ?? []).filter((act) => IN_TREE.has(act.step) && !act.known);
  return part("Process tree",
    unknown ? el("p", { class: "note" }, `Who asked for ${fileName(finding.target_image)} is not known.`) : null,
    treeList(roots, "Process tree"),
    ...notes.map((act) => el("p", { class: "note" }, `${act.step}s: ${act.text}`)),
  ).filter(Boolean);
}

function storyPart(finding, story, open) {
  if (!story) {
    return part("Story", el("p", { class: "note" },
      `This page has no story of this finding. It may stand in story.csv: hunt show-finding ${finding.finding_id} -o OUT`));
  }
  const made = [];
  const unknown = story.acts.filter((act) => [ABSENT, NONE].includes(act.status) || act.step === "telemetry");
  for (const [step, title] of Object.entries(details().titles)) {
    const acts = story.acts.filter((act) => act.step === step && !IN_TREE.has(step) && !unknown.includes(act));
    if (acts.length) made.push(el("h5", {}, title), ...actList(acts, open));
  }
  const dark = unknown.filter((act) => act.status !== NONE);
  const looked = unknown.filter((act) => act.status === NONE);
  if (looked.length) made.push(el("h5", {}, "Logged on this host, and none of it theirs"), ...actList(looked, open));
  if (dark.length) made.push(el("h5", {}, "Not known: nobody logged it"), ...actList(dark, open));
  if (story.left) made.push(el("p", { class: "note" }, `${counted(story.left, "more row")} of the story stand in story.csv.`));
  return part("Story", ...(made.length ? made : [el("p", { class: "quiet" }, "Nothing more is known.")]));
}

const SHOWN_ACTS = 12;

function actList(acts, open) {
  const listed = (some) => el("ul", { class: "acts" }, ...some.map((act) => actLine(act, open)));
  if (acts.length <= SHOWN_ACTS) return [listed(acts)];
  const more = el("details", {}, el("summary", {}, `${acts.length - SHOWN_ACTS} more`));
  more.addEventListener("toggle", () => more.children.length > 1 || more.append(listed(acts.slice(SHOWN_ACTS))));
  return [listed(acts.slice(0, SHOWN_ACTS)), more];
}

const TOLD_BY_ITSELF = new Set(["competitor", "image", "logon", "other", "telemetry"]);

function actLine(act, open) {
  if (act.status !== SEEN) return el("li", { class: act.status === NONE ? "quiet" : "absent" }, act.text);
  const whose = TOLD_BY_ITSELF.has(act.step) || act.image === null ? "" : `${withPid(act.image, act.pid)} `;
  const other = act.step === "other" ? byId.get(act.evidence[0]) : null;
  const line = el("span", {}, act.text ?? "");
  return el("li", {},
    act.time ? el("span", { class: "when" }, act.time.slice(0, 23).replace("T", " ")) : null,
    whose ? el("strong", {}, whose) : null,
    other ? button(act.text, () => open(other), { class: "link" }) : line,
    act.event === null ? null : el("span", { class: "place" }, placeOf(act)),
  );
}

function placeOf(act) {
  const at = act.source ? `, ${act.source[0]}${act.source[1] === null ? "" : ` @ ${act.source[1]}`}` : "";
  const number = act.record === null ? "" : `, record ${act.record}`;
  return `${act.channel} ${act.event}${number}${at}`;
}

function eventPart(finding) {
  const events = eventsOf(finding);
  if (!events) {
    return part("Events", el("p", { class: "note" }, "This page has no room for the events of this finding: they stand in events.csv."));
  }
  const items = events.rows.map((row) => {
    const sources = row.sources.map(([path, offset]) => `${path}${offset === null ? "" : ` @ ${offset}`}`).join(", ");
    return el("li", {}, el("details", {},
      el("summary", {}, el("span", { class: "when" }, row.time ?? "no time"), `${row.channel} ${row.event}${row.record === null ? "" : `, record ${row.record}`}`),
      factList([["Host", row.host], ["Where it stands", sources], ...row.fields]),
      row.left ? el("p", { class: "note" }, `${counted(row.left, "more field")} in events.csv.`) : null,
    ));
  });
  const left = events.left ? el("p", { class: "note" }, `${counted(events.left, "more event")} in events.csv.`) : null;
  return part("Events", el("ol", { class: "events" }, ...items), left).filter(Boolean);
}

const NEXT = "What to do next";

function nextPart(finding) {
  const [said] = (own(page.docs, finding.query) ?? []).filter(([label]) => label === NEXT);
  return said ? part(NEXT, el("p", { class: "said" }, said[1])) : [];
}

const BRIEF_LABELS = new Set(["Level", "Status", "Tags", "Author", "Licence"]);

function queryPart(finding) {
  const said = (own(page.docs, finding.query) ?? []).filter(([label]) => label !== NEXT);
  if (!said.length) return [];
  const long = said.filter(([label]) => !BRIEF_LABELS.has(label));
  return part("About this query",
    ...long.map(([label, text]) => el("details", {}, el("summary", {}, label), el("p", { class: "said" }, text))),
    factList(said.filter(([label]) => BRIEF_LABELS.has(label))),
  );
}

// The process tree of a finding: who started whom, and how surely it is known who asked for what.

const STEP = { process: "suspicious", target: "started", attached: "took over", ancestor: "", descendant: "" };

/** Processes out of a story, or out of the finding alone; the roots of their tree. */
function treeOf(finding, acts) {
  const told = acts ? acts.filter((act) => act.known) : [];
  const nodes = told.length ? told.map((act) => ({ ...act.known, role: act.step, children: [], edge: null })) : few(finding);
  const of = (role) => nodes.filter((node) => node.role === role);
  const [own] = of("process");
  const parents = new Map();
  const under = (node, parent, edge) => {
    if (!parent || parent === node || parents.has(node)) return;
    for (let above = parent; above; above = parents.get(above)) if (above === node) return;
    parents.set(node, parent);
    parent.children.push(node);
    node.edge = edge;
  };
  let below = own;
  for (const above of of("ancestor").sort((one, other) => one.depth - other.depth)) {
    if (below) under(below, above, null);
    below = above;
  }
  for (const target of of("target")) {
    const born = logged(target, nodes);
    if (born && born === own) under(target, own, finding.grade ? { grade: finding.grade, says: "started it itself" } : null);
    else if (own) under(target, own, request(finding));
  }
  for (const other of of("attached")) {
    under(other, of("target")[0] ?? own, { says: "handed over to this Outlook, which ran already" });
  }
  for (const child of of("descendant")) under(child, logged(child, nodes) ?? own ?? of("target")[0], null);
  return nodes.filter((node) => !parents.has(node));
}

/** Who the log names as the parent: by GUID, else the last process with that id that had started by then. */
function logged(child, nodes) {
  const same = (one, other) => one !== null && other !== null && one.toLowerCase() === other.toLowerCase();
  const named = nodes.find((node) => node !== child && same(node.guid, child.parent_guid));
  if (named || child.parent_pid === null) return named;
  const before = nodes.filter(
    (node) => node !== child && node.pid === child.parent_pid && (node.start ?? "") <= (child.start ?? "~"),
  );
  return before.sort((one, other) => ((one.start ?? "") < (other.start ?? "") ? 1 : -1))[0];
}

function request(finding) {
  const origin = finding.locality === "remote" ? "from another machine" : "";
  return { grade: finding.grade, says: ["asked for it", origin].filter(Boolean).join(" "), evidence: finding.evidence };
}

/** Parent, process and target as the finding's own row has them. */
function few(finding) {
  const node = (role, image, known) => ({
    role, image, command_line: null, user: null, integrity: null, session: null, logon_id: null, start: null,
    start_source: null, end: null, guid: null, pid: null, parent_guid: null, parent_pid: null, depth: 0, children: [],
    edge: null, ...known,
  });
  const { image, pid, target_image, target_pid } = finding;
  const made = [];
  if (image !== null || (pid !== null && finding.actor === null)) {
    const { command_line, user, integrity, session, logon_id, process_guid } = finding;
    made.push(node("process", image, { pid, command_line, user, integrity, session, logon_id, guid: process_guid, start: finding.start }));
    if (finding.parent_image !== null) {
      made.push(node("ancestor", finding.parent_image, { command_line: finding.parent_command_line, depth: 1 }));
    }
  }
  if (target_image !== null || target_pid !== null) {
    const { target_command_line, target_process_guid } = finding;
    made.push(node("target", target_image, { pid: target_pid, command_line: target_command_line, guid: target_process_guid, start: finding.end }));
  }
  return made;
}

const SHOWN_CHILDREN = 12;

function treeList(nodes, label) {
  const list = el("ul", label ? { class: "tree", "aria-label": label } : {});
  list.append(...nodes.slice(0, SHOWN_CHILDREN).map(branch));
  const rest = nodes.slice(SHOWN_CHILDREN);
  if (rest.length) {
    const more = el("details", {}, el("summary", {}, `${counted(rest.length, "more process", "more processes")}`));
    more.addEventListener("toggle", () => more.children.length > 1 || more.append(el("ul", {}, ...rest.map(branch))));
    list.append(el("li", {}, more));
  }
  return list;
}

function branch(node) {
  const line = el("summary", {},
    el("strong", {}, withPid(node.image, node.pid)),
    STEP[node.role] ? el("span", { class: `role ${node.role}` }, STEP[node.role]) : null,
    node.start ? el("span", { class: "when" }, moment(node.start)) : null,
    node.user ? el("span", { class: "who" }, node.user) : null,
  );
  const facts = [
    ["Image", node.image], ["User", node.user], ["Integrity", node.integrity], ["Session", node.session],
    ["Logon", node.logon_id], ["Started", started(node)], ["Ended", node.end], ["GUID", node.guid],
    ["Parent's GUID", node.parent_guid], ["Parent's process id", node.parent_pid],
  ];
  return el("li", { class: node.role },
    node.edge ? edgeLine(node.edge) : null,
    el("details", { class: "node" }, line, factList(facts)),
    node.command_line ? el("code", {}, shortened(node.command_line, 400)) : null,
    node.children.length ? treeList(node.children) : null,
  );
}

function started(node) {
  if (!node.start) return "not known";
  return node.start_source === "guid" ? `in the second of ${node.start} (its GUID)` : node.start;
}

function edgeLine({ grade, says, evidence }) {
  return el("p", { class: "edge" },
    grade ? gradeMark(grade) : null, ` ${says}`,
    evidence?.length ? el("span", { class: "evidence" }, `: ${evidence.join("; ")}`) : null,
  );
}

/** A description list of what is known. */
function factList(facts) {
  const list = el("dl", {});
  for (const [name, value] of facts) {
    if (value !== null && value !== undefined && value !== "") {
      list.append(el("div", {}, el("dt", {}, name), el("dd", {}, value instanceof Node ? value : String(value))));
    }
  }
  return list;
}

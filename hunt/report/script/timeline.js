// The picture: a row a host, a mark a finding where it ended, a small mark for each event it is made of.

const SHAPES = { critical: "diamond", high: "triangle", medium: "rect", low: "circle", informational: "circle" };
const MOST_ROWS = 16; // hosts that fit; a slider leads to the others
const MOST_PRINTED = 100;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function drawTimeline() {
  const holder = document.getElementById("picture");
  const timed = findings.filter((finding) => (finding.end ?? finding.start) !== null);
  if (!timed.length) {
    document.getElementById("timeline").hidden = true;
    return null;
  }
  const hosts = ranked(timed);
  const rowOf = new Map(hosts.map((host, at) => [host.key, at]));
  holder.setAttribute("aria-label", described(timed, hosts));
  const chart = echarts.init(holder, null, { renderer: "canvas", devicePixelRatio: Math.max(2, devicePixelRatio) });
  let most = MOST_ROWS;
  const paint = () => {
    holder.style.height = `${Math.min(hosts.length, most) * 30 + 142}px`;
    chart.resize();
    const [zoomed] = chart.getOption()?.dataZoom ?? [];
    const option = pictured(timed, hosts, rowOf, holder.clientWidth, most);
    if (zoomed) Object.assign(option.dataZoom[0], { start: zoomed.start, end: zoomed.end });
    chart.setOption(option, { replaceMerge: ["series", "dataZoom"] });
  };
  let width = holder.clientWidth;
  chart.on("click", ({ data }) => data && open(findings[data.value[2]]));
  new ResizeObserver(() => {
    if (holder.clientWidth === width) return;
    width = holder.clientWidth;
    paint();
  }).observe(holder);
  const zoom = (change) => () => {
    const [slider] = chart.getOption().dataZoom;
    const [start, end] = change(slider.start, slider.end);
    const part = Math.min(100, end - start);
    const from = Math.max(0, Math.min(100 - part, start));
    chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: from, end: from + part });
  };
  document.getElementById("picture-tools").append(
    button("Zoom in", zoom((a, b) => [a + (b - a) / 4, b - (b - a) / 4])),
    button("Zoom out", zoom((a, b) => [a - (b - a) / 2, b + (b - a) / 2])),
    button("← Earlier", zoom((a, b) => [a - (b - a) / 2, b - (b - a) / 2])),
    button("Later →", zoom((a, b) => [a + (b - a) / 2, b + (b - a) / 2])),
    button("Everything", zoom(() => [0, 100])),
  );
  const said = [];
  if (hosts.length > MOST_ROWS) said.push(`The slider on the right leads to all ${hosts.length} hosts with findings, the worst first.`);
  if (page.undrawn) said.push(`${counted(page.undrawn, "more event")} of findings are not drawn.`);
  if (timed.length < findings.length) said.push(`${counted(findings.length - timed.length, "finding")} without a time are not drawn.`);
  if (said.length) holder.after(el("p", { class: "quiet" }, said.join(" ")));
  return { paint, print: (printing) => { most = printing ? MOST_PRINTED : MOST_ROWS; paint(); } };
}

/** Text for the chart. It keeps texts in plain objects, where one called so would spoil all objects of the page. */
const drawn = (text) => text.replaceAll("__proto__", "__proto\u200b__");

const keyOf = (host) => (host ?? "").toLowerCase();

/** Hosts with findings, the worst last: rows are counted from below. */
function ranked(timed) {
  const met = new Map();
  for (const finding of timed) {
    const key = keyOf(finding.host);
    const host = met.get(key) ?? { key, name: finding.host ?? "no host", worst: 0, number: 0 };
    host.worst = Math.max(host.worst, finding.suppressed === null ? rankOf.get(finding.severity) : 0);
    host.number += 1;
    met.set(key, host);
  }
  return [...met.values()].sort((a, b) => a.worst - b.worst || a.number - b.number || (a.key < b.key ? 1 : -1));
}

function described(timed, hosts) {
  const times = timed.map((finding) => finding.end ?? finding.start).sort();
  const each = hosts.slice(-10).reverse().map((host) => `${host.name}: ${counted(host.number, "finding")}`);
  const more = hosts.length > 10 ? `; and ${hosts.length - 10} more hosts` : "";
  return `Timeline of ${counted(timed.length, "finding")} on ${counted(hosts.length, "host")}, `
    + `${moment(times[0])} to ${moment(times.at(-1))} UTC. ${each.join("; ")}${more}. The table of findings says the same.`;
}

function pictured(timed, hosts, rowOf, width, most) {
  const narrow = width < 600;
  const at = (finding) => millis(finding.end ?? finding.start);
  const point = (finding, ms) => ({ value: [ms, rowOf.get(keyOf(finding.host)), finding.place] });
  const live = timed.filter((finding) => finding.suppressed === null);
  const quiet = timed.filter((finding) => finding.suppressed !== null);
  const marks = page.marks.map(([place, ms]) => [findings[place], ms]).filter(([f]) => rowOf.has(keyOf(f.host)));
  const text = { color: colour("ink"), fontFamily: getComputedStyle(document.body).fontFamily };
  const full = (tone) => ({ color: tone, borderColor: colour("paper"), borderWidth: 0.5 });
  const hollow = (tone) => ({ color: colour("paper"), borderColor: tone, borderWidth: 2 });
  const series = (name, data, shape, size, itemStyle, z) => ({
    name, type: "scatter", data, symbol: shape, symbolSize: size, animation: false, itemStyle, z,
  });
  const all = [
    series("events", marks.map(([finding, ms]) => point(finding, ms)), "rect", [2, 16], full(colour("faint")), 1),
    ...[...page.severities].reverse().map((severity) => series(
      severity, live.filter((f) => f.severity === severity).map((f) => point(f, at(f))),
      SHAPES[severity], rankOf.get(severity) < 3 ? 10 : 13,
      (severity === "informational" ? hollow : full)(colour(severity)), 2 + rankOf.get(severity),
    )),
    series("suppressed", quiet.map((f) => point(f, at(f))), "circle", 8, hollow(colour("faint")), 2),
  ].filter((one) => one.data.length);
  const many = hosts.length > most;
  return {
    animation: false,
    textStyle: text,
    legend: {
      top: 0, left: "center", textStyle: { ...text, fontSize: 12 }, itemGap: 16, itemWidth: 13, itemHeight: 11,
      data: all.map((one) => one.name).reverse(),
    },
    grid: { left: narrow ? 92 : 190, right: many ? 44 : 16, top: narrow ? 64 : 40, bottom: 78 },
    tooltip: {
      renderMode: "richText", trigger: "item", confine: true,
      backgroundColor: colour("paper"), borderColor: colour("line"),
      textStyle: { ...text, width: Math.min(420, width - 60), overflow: "break" },
      formatter: ({ seriesName, data }) => tip(findings[data.value[2]], seriesName, data.value[0]),
    },
    xAxis: {
      type: "time", axisLine: { lineStyle: { color: colour("line") } }, ...margins(all),
      axisLabel: { color: colour("soft"), fontSize: 12, hideOverlap: true, formatter: TIMES },
      splitLine: { show: true, lineStyle: { color: colour("line"), opacity: 0.5 } },
    },
    yAxis: {
      type: "category", data: hosts.map((host) => drawn(host.name)), axisTick: { show: false }, axisLine: { show: false },
      axisLabel: {
        color: colour("ink"), fontSize: 12, interval: 0,
        formatter: (name) => shortened(name.split(".")[0] || name, narrow ? 11 : 24),
      },
      splitLine: { show: true, lineStyle: { color: colour("line"), opacity: 0.5 } },
    },
    useUTC: true,
    dataZoom: [
      { type: "slider", xAxisIndex: 0, bottom: 26, height: 22, filterMode: "filter", showDataShadow: false, ...sliderLook() },
      { type: "inside", xAxisIndex: 0, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "filter" },
      ...(many ? [{ type: "slider", yAxisIndex: 0, right: 8, width: 16, showDetail: false, showDataShadow: false,
        zoomLock: true, startValue: hosts.length - most, endValue: hosts.length - 1, ...sliderLook() }] : []),
    ],
    series: all,
  };
}

const TIMES = {
  year: "{yyyy}", month: "{yyyy}-{MM}", day: "{MM}-{dd}", hour: "{HH}:{mm}", minute: "{HH}:{mm}",
  second: "{HH}:{mm}:{ss}", millisecond: "{HH}:{mm}:{ss}.{SSS}", none: "{yyyy}-{MM}-{dd} {HH}:{mm}:{ss}",
};

/** A little more than all marks take, so that none is cut at an edge. */
function margins(series) {
  let [from, to] = [Infinity, -Infinity];
  for (const { data } of series) for (const { value: [ms] } of data) [from, to] = [Math.min(from, ms), Math.max(to, ms)];
  const margin = Math.max(1000, Math.ceil((to - from) / 50));
  return { min: from - margin, max: to + margin };
}

function sliderLook() {
  return {
    borderColor: colour("line"), backgroundColor: "transparent", fillerColor: `${colour("accent")}22`,
    handleStyle: { color: colour("paper"), borderColor: colour("accent") },
    moveHandleStyle: { color: colour("accent"), opacity: 0.4 },
    textStyle: { color: colour("soft") }, brushSelect: false,
    labelFormatter: (value) => (value > 1e9 ? moment(new Date(value).toISOString()) : ""),
  };
}

function tip(finding, kind, ms) {
  const plain = (text) => drawn(text).replaceAll("{", "(").replaceAll("}", ")"); // braces are the chart's own markup
  const what = kind === "events" ? "event of " : "";
  const grade = finding.grade === null ? "" : finding.grade === "direct" ? ", direct" : `, grade ${finding.grade}`;
  return [
    `${new Date(ms).toISOString().slice(0, 23).replace("T", " ")} UTC`,
    `${what}${plain(shortened(deed(finding), 90))}`,
    plain(`${finding.severity}${grade}: ${shortened(finding.title ?? finding.query, 90)}`),
    plain(shortened([finding.host, finding.user].filter(Boolean).join(", "), 90)),
  ].join("\n");
}

// Tables: sorted and paged by DataTables, searched, filtered and exported here.
// Cells are made of elements; DataTables sees no text of the evidence as markup (it would take it for HTML).

/**
 * A table with its tools. columns: {title, text(row), number?(row), node?(row), style?}, style a class of its cells;
 * filters: {title, value(row), order?(value)}; exported: {header, cells(row)}; order: [[column, "asc" | "desc"]].
 */
function makeTable({ holder, name, caption, columns, rows, filters = [], order = [], exported, rowsAPage = 25 }) {
  const table = el("table", { class: "rows" }, el("caption", { class: "unseen" }, caption));
  const tools = el("div", { class: "tools", role: "search", "aria-label": `Search ${name}` });
  holder.append(tools, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table));

  const shown = new DataTable(table, {
    data: rows,
    columns: columns.map((column) => ({
      title: column.title,
      data: null,
      type: column.number ? "num" : "string",
      searchable: false,
      className: column.style ?? "",
      render: (row, kind) => {
        if (kind === "display") return column.node ? column.node(row) : el("span", {}, column.text(row) ?? "");
        return column.number ? column.number(row) ?? -1 : (column.text(row) ?? "").toLowerCase();
      },
    })),
    order,
    autoWidth: false,
    deferRender: true,
    pageLength: rowsAPage,
    lengthMenu: [25, 100, 500],
    layout: {
      topStart: null,
      topEnd: null,
      bottomStart: "info",
      bottomEnd: rows.length > rowsAPage ? { paging: { buttons: 5 } } : null,
      bottom2Start: rows.length > rowsAPage ? "pageLength" : null,
    },
    language: { emptyTable: "Nothing to show.", zeroRecords: "Nothing meets the search." },
  });

  const nameIt = () => holder.querySelector(".dt-paging nav")?.setAttribute("aria-label", `Pages of ${name}`);
  shown.on("draw", nameIt);
  nameIt();

  const haystacks = [];
  const haystack = (place) =>
    (haystacks[place] ??= (exported ? exported.cells(rows[place]) : columns.map((column) => column.text(rows[place])))
      .join("\n")
      .toLowerCase());
  const asked = { text: "", chosen: filters.map(() => "") };
  shown.search.fixed("asked", (_, row, place) => {
    if (asked.chosen.some((value, at) => value && (filters[at].value(row) ?? "") !== value)) return false;
    return !asked.text || asked.text.split(/\s+/).every((word) => haystack(place).includes(word));
  });

  const searched = el("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  searched.addEventListener("input", () => {
    asked.text = searched.value.trim().toLowerCase();
    shown.draw();
  });
  tools.append(el("label", { class: "grow" }, "Search", searched));
  filters.forEach((filter, at) => {
    const values = [...new Set(rows.map((row) => filter.value(row)).filter(Boolean))];
    if (values.length < 2 || values.length > MOST_CHOICES) return;
    const place = filter.order ?? (() => 0);
    values.sort((one, other) => place(other) - place(one) || (one < other ? -1 : 1));
    const choice = el("select", {}, el("option", { value: "" }, "all"));
    choice.append(...values.map((value) => el("option", { value }, shortened(value, 60))));
    choice.addEventListener("change", () => {
      asked.chosen[at] = choice.value;
      shown.draw();
    });
    tools.append(el("label", {}, filter.title, choice));
  });
  const current = () => shown.rows({ search: "applied", order: "applied" }).data().toArray();
  const csv = exported ?? {
    header: columns.map((column) => column.title),
    cells: (row) => columns.map((column) => column.text(row)),
  };
  tools.append(button("CSV", () => save(`${name.replaceAll(" ", "-")}.csv`, asCsv(csv, current())), {
    title: "Save the rows that are shown, in their order",
    "aria-label": `Save ${name} as CSV`,
  }));
  return { table, shown, current };
}

const MOST_CHOICES = 400; // of a filter; the search finds the others

/** A cell that begins so is run as a formula by spreadsheets, the wide forms by some. */
const FORMULA = /^'*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

function asCsv({ header, cells }, rows) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [header, ...rows.map(cells)].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function save(name, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const BRIEF = 260; // characters of a cell that are shown at once

function cellOf(value) {
  if (typeof value !== "string") return el("span", {}, value === null ? "" : value.toLocaleString("en"));
  if (value.length <= BRIEF) return el("span", {}, value);
  return el("details", {}, el("summary", {}, shortened(value, BRIEF)), el("p", {}, value));
}

/** A table of `page.tables` in the element with this id; made when it comes near. */
function plainTable(name, caption, filtered = []) {
  const holder = document.getElementById(`table-${name}`);
  const { columns, rows, left } = page.tables[name];
  if (!rows.length) {
    holder.append(el("p", { class: "quiet" }, "None."));
    return null;
  }
  const made = makeTable({
    holder,
    name,
    caption,
    rows,
    columns: columns.map(([title, kind], at) => ({
      title,
      text: (row) => (row[at] === null ? null : String(row[at])),
      style: kind === "value" ? "number" : kind,
      number: kind === "value" ? (row) => row[at] : null,
      node: (row) => cellOf(row[at]),
    })),
    filters: filtered.map((title) => {
      const at = columns.findIndex(([column]) => column === title);
      return { title, value: (row) => row[at] };
    }),
  });
  if (left) holder.append(el("p", { class: "note" }, `${left.toLocaleString("en")} more rows stand in the CSV files of the run alone.`));
  return made;
}

// The lesion table: sorted, filtered; of many rows only those in sight are in the document.

import { $, button, isOpen, make, ml, row, shared, sign, text } from "./store.js";

const MOST_ROWS = 100; // up to so many are all there
const AROUND = 12;
const COLUMNS = [
  { key: "id", title: "Lesion", order: (x) => [x.region ? 1 : 0, Number(x.id.slice(1))] },
  { key: "word", title: "Decision", order: (x) => [x.word] },
  { key: "site", title: "Name", order: (x) => [x.site], when: (rows) => rows.some((x) => x.site) },
  { key: "segment", title: "Seg.", order: (x) => [x.segment || "\uffff"], when: (rows) => rows.some((x) => x.segment), hint: "liver segment that holds most of it" },
  { key: "volume_ml", title: "ml", number: true, order: (x) => [-x.volume_ml] },
  { key: "axial_mm", title: "mm", number: true, order: (x) => [-x.axial_mm], hint: "largest diameter on an axial slice" },
  { key: "suv_max", title: "SUV", number: true, order: (x) => [-(x.suv_max ?? -1)], when: (rows) => rows.some((x) => x.suv_max !== null), hint: "SUVmax" },
  { key: "avidity", title: "FDG", order: (x) => [x.avidity] },
  { key: "reason", title: "Reason", order: (x) => [x.reason || "\uffff"] },
];

let sort = { key: "id", back: false };
let shown = [];
let choose = () => {};
let waiting = () => new Set();
let height = 22;

const sizes = { "": () => true, "<1": (x) => x.volume_ml < 1, "1-10": (x) => x.volume_ml >= 1 && x.volume_ml < 10, ">10": (x) => x.volume_ml >= 10 };

const wordOf = (x) => (isOpen(x) ? "not marked" : x.word.replace("_", " "));

// What "Find" looks in: also the site, and the segment as "segment 6".
const told = (x) => [x.id, x.site, x.site_word.replace("_", " "), x.segment && `segment ${x.segment}`, wordOf(x), x.avidity, x.reason];

export function shownRows(held = "") {
  const find = $("find").value.trim().toLowerCase(), only = $("only").value, by = $("by").value;
  const fits = sizes[$("size").value] ?? sizes[""];
  const rows = shared.state.lesions.filter((x) => x.id === held || ((!only || x.word === only) && (!by || x.by === by) && fits(x)
    && (!find || told(x).some((words) => words.toLowerCase().includes(find)))));
  const { order } = COLUMNS.find((c) => c.key === sort.key);
  const compare = (a, b) => {
    const [p, q] = [order(a), order(b)];
    for (let n = 0; n < p.length; n += 1) if (p[n] < q[n]) return -1; else if (p[n] > q[n]) return 1;
    return 0;
  };
  return rows.sort((a, b) => compare(a, b) * (sort.back ? -1 : 1));
}

const columnsShown = () => COLUMNS.filter((c) => !c.when || c.when(shared.state.lesions));

function renderHeads(columns) {
  const line = $("lesions").querySelector("thead tr");
  const told = JSON.stringify([columns.map((c) => c.key), sort]);
  if (line.dataset.told === told) return; // a head that is replaced while it is pressed is never clicked
  line.dataset.told = told;
  line.replaceChildren(...columns.map((c) => {
    const head = make("th", "", c.number ? "number" : "");
    head.scope = "col";
    if (c.hint) head.title = c.hint;
    if (sort.key === c.key) head.setAttribute("aria-sort", sort.back ? "descending" : "ascending");
    head.append(button(`${c.title}${sort.key === c.key ? (sort.back ? " ▴" : " ▾") : ""}`, () => {
      sort = { key: c.key, back: sort.key === c.key && !sort.back };
      renderTable();
      $("lesions").querySelectorAll("thead button")[columns.indexOf(c)].focus();
    }));
    return head;
  }));
}

function cell(column, x) {
  if (column.key === "id") {
    const head = make("th");
    head.scope = "row";
    const one = make("button", x.id);
    one.type = "button";
    one.tabIndex = x.id === shared.chosen ? 0 : -1;
    if (x.id === shared.chosen) one.setAttribute("aria-current", "true");
    head.append(one);
    return head;
  }
  if (column.key === "word") {
    const node = make("td", "", "word");
    const share = x.word === "partial" && x.share !== null ? ` ${(100 * x.share).toFixed(0)} %` : "";
    node.append(sign(x.word), make("span", wordOf(x) + share, { mask: "from-mask", plan: "from-mask", table: "marked" }[x.source] ?? "open"));
    if (x.source === "plan") node.append(make("span", " as planned", "unseen"));
    if (x.source === "mask") node.append(make("span", " as drawn", "unseen"));
    for (const other of x.others) node.append(make("span", `${other.reader}: ${other.word}`, "others"));
    if (x.misfit) node.append(make("span", "row does not fit", "others misfit"));
    return node;
  }
  if (column.number) return make("td", x[column.key] === null ? "-" : column.key === "volume_ml" ? ml(x.volume_ml) : x[column.key].toFixed(1), "number");
  return make("td", String(x[column.key]), ["avidity", "segment"].includes(column.key) ? "word" : "text");
}

function line(x, columns, pending) {
  const node = make("tr", "", [x.id === shared.chosen ? "chosen" : "", pending.has(x.id) ? "pending" : ""].join(" ").trim());
  node.dataset.id = x.id;
  node.append(...columns.map((c) => cell(c, x)));
  return node;
}

function spacer(rows, columns) {
  const node = make("tr", "", "spacer");
  const space = make("td");
  space.colSpan = columns.length;
  space.style.height = `${rows * height}px`;
  node.setAttribute("aria-hidden", "true");
  node.append(space);
  return node;
}

// Which of the rows are drawn: all of a few, of many those in sight.
function span() {
  if (shown.length <= MOST_ROWS) return [0, shown.length];
  const box = $("rows-box");
  const first = Math.max(0, Math.floor(box.scrollTop / height) - AROUND);
  return [first, Math.min(shown.length, first + Math.ceil(box.clientHeight / height) + 2 * AROUND)];
}

// "2 lesions and 1 PET region".
export function countedRows(rows) {
  const regions = rows.filter((x) => x.region).length;
  const counts = [[rows.length - regions, "lesion"], [regions, "PET region"]].filter(([n, name]) => n || (name === "lesion" && !regions));
  return counts.map(([n, name]) => `${n} ${name}${n === 1 ? "" : "s"}`).join(" and ");
}

export function renderTable() {
  const { state } = shared;
  const focused = document.activeElement?.closest?.("#lesions tbody") ? shared.chosen : "";
  renderHeads(columnsShown());
  shown = shownRows();
  renderRows();
  const body = $("lesions").tBodies[0];
  if (!shown.some((x) => x.id === shared.chosen)) body.querySelector("button")?.setAttribute("tabindex", "0");
  $("lesions").setAttribute("aria-rowcount", String(shown.length + 1));
  const counted = `${shown.length === state.lesions.length ? "" : `${shown.length} of `}${countedRows(state.lesions)}`;
  text($("count"), state.lesions.length || !state.stage ? counted : "lesions follow"); // none is said only of what was read
  const readers = [...new Set(state.lesions.map((x) => x.by).filter(Boolean))].sort();
  if ($("by").dataset.told !== readers.join("\n")) {
    $("by").dataset.told = readers.join("\n");
    const was = $("by").value;
    $("by").replaceChildren(new Option("anybody", ""), ...readers.map((name) => new Option(name, name)));
    $("by").value = readers.includes(was) ? was : "";
  }
  if (focused && !focusRow(focused)) $("rows-box").focus(); // the filter took it; the keys stay in the table
}

function renderRows() {
  const columns = columnsShown(), [first, last] = span(), pending = waiting();
  const rows = shown.slice(first, last).map((x) => line(x, columns, pending));
  if (first > 0) rows.unshift(spacer(first, columns));
  if (last < shown.length) rows.push(spacer(shown.length - last, columns));
  $("lesions").tBodies[0].replaceChildren(...rows);
  const one = $("lesions").tBodies[0].querySelector("tr:not(.spacer)");
  if (one && shown.length > MOST_ROWS) height = Math.max(14, one.getBoundingClientRect().height || height);
}

// A selection, and a mark, touch the rows they concern and no other, but where they change which rows are shown.
export function renderSome(ids) {
  const moves = ["find", "only", "by", "size"].some((id) => $(id).value) || ["word", "avidity", "reason"].includes(sort.key);
  if (moves && ids.some((id) => id) && shownRows().map((x) => x.id).join() !== shown.map((x) => x.id).join()) { renderTable(); return; }
  const columns = columnsShown(), pending = waiting();
  const focused = document.activeElement?.closest?.("#lesions tbody") ? document.activeElement.closest("tr")?.dataset.id : "";
  for (const id of new Set(ids)) {
    const old = $("lesions").querySelector(`tr[data-id="${CSS.escape(id)}"]`), x = row(id);
    if (old && x) old.replaceWith(line(x, columns, pending));
  }
  if (focused && ids.includes(focused)) focusRow(shared.chosen);
}

export function reveal(id) {
  const at = shown.findIndex((x) => x.id === id), box = $("rows-box");
  if (at >= 0 && shown.length > MOST_ROWS) {
    const top = at * height, head = $("lesions").tHead.offsetHeight;
    if (top < box.scrollTop || top + height + head > box.scrollTop + box.clientHeight) {
      box.scrollTop = Math.max(0, top - box.clientHeight / 2);
      renderRows();
    }
  }
  const one = $("lesions").querySelector(`tr[data-id="${CSS.escape(id)}"]`)?.getBoundingClientRect();
  if (!one) return;
  const seen = box.getBoundingClientRect(), top = seen.top + $("lesions").tHead.offsetHeight;
  if (one.top < top) box.scrollTop -= top - one.top; // the box alone scrolls, not what lies round it
  else if (one.bottom > seen.bottom) box.scrollTop += one.bottom - seen.bottom;
}

export function focusRow(id) {
  const one = $("lesions").querySelector(`tr[data-id="${CSS.escape(id)}"] button`);
  one?.focus({ preventScroll: true });
  return Boolean(one);
}

export function startTable(handlers) {
  ({ choose, waiting } = handlers);
  new ResizeObserver(() => reveal(shared.chosen)).observe($("rows-box")); // the chosen row stays in sight
  for (const id of ["only", "by", "size"]) $(id).addEventListener("change", renderTable);
  $("find").addEventListener("input", renderTable);
  let soon = 0;
  $("rows-box").addEventListener("scroll", () => {
    if (shown.length <= MOST_ROWS || soon) return;
    soon = requestAnimationFrame(() => {
      soon = 0;
      const held = document.activeElement?.closest?.("#lesions tbody tr")?.dataset.id;
      renderRows();
      if (held && !focusRow(held)) $("rows-box").focus({ preventScroll: true });
    });
  });
  // On the press: it saves a reason that is being written, which draws the row anew, and then there is no click.
  for (const kind of ["mousedown", "click"]) {
    $("lesions").tBodies[0].addEventListener(kind, (e) => {
      const id = e.target.closest("tr")?.dataset.id;
      if (!id || e.button) return;
      e.preventDefault();
      choose(id, { focus: true });
    });
  }
}

"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const about = read("about");
  const rows = read("rows").map((values) =>
    Object.fromEntries(about.keys.map((key, n) => [key, values[n]])));
  const PAGE = 100;
  const byName = new Intl.Collator("en", { numeric: true }).compare;
  const $ = (id) => document.getElementById(id);
  const state = { key: "subject", down: false, page: 0, shown: rows };

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const columns = [
    ["subject", "Subject"], ["status", "Status"], ["stratum", "Stratum"],
    ["percent", "Resectable % (measurement error)"], ["say", "To look at"], ["total", "Tumour ml"],
    ["resectable", "Resectable ml"], ["avid", "FDG-avid ml"], ["avidPercent", "Avid resectable %"],
    ["lesions", "Lesions"],
  ];
  const numeric = new Set(["total", "resectable", "percent", "avid", "avidPercent", "lesions"]);

  const compare = (a, b) => {
    const [x, y] = [a[state.key], b[state.key]];
    let order = 0;
    if (x === null || y === null) order = (x === null) - (y === null);
    else {
      order = numeric.has(state.key) ? x - y : byName(x, y);
      if (state.down) order = -order;
    }
    return order || byName(a.subject, b.subject);
  };

  const cellOf = (row, key) => {
    if (key === "subject") {
      const head = element("th");
      head.scope = "row";
      const link = element("a", row.subject);
      link.href = row.href;
      head.append(link);
      return head;
    }
    const told = row.words[key] ?? String(row[key] ?? about.dash);
    if (key === "status" || key === "stratum") return element("td", told, "tag " + row[key]);
    return element("td", key === "say" ? row.say ?? "" : told, numeric.has(key) ? "number" : "say");
  };

  const showTable = () => {
    const body = $("subjects").tBodies[0];
    const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const part = state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
    body.replaceChildren(...part.map((row) => {
      const line = element("tr");
      line.append(...columns.map(([key]) => cellOf(row, key)));
      return line;
    }));
    for (const head of $("subjects").tHead.rows[0].cells) {
      const sorted = head.dataset.key === state.key;
      if (sorted) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
      head.querySelector("span").textContent = sorted ? (state.down ? " ▼" : " ▲") : "";
    }
    $("count").textContent = `${state.shown.length} of ${rows.length} subjects`;
    $("page").textContent = `Page ${state.page + 1} of ${pages}`;
    $("before").disabled = state.page === 0;
    $("after").disabled = state.page === pages - 1;
  };

  const SVG = "http://www.w3.org/2000/svg";
  const drawn = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const box = { left: 52, right: 988, top: 14, bottom: 296 };
  const yOf = (value) => box.bottom - (value / 100) * (box.bottom - box.top);
  const SHAPES = { // shapes as well as colours; r is half their size
    stratum_1: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    stratum_2: (x, y, r) => `M${x - r} ${y + r}L${x + r} ${y + r}L${x} ${y - r}z`,
    ineligible: (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    none: (x, y, r) => `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}z`,
  };
  let plotted = [];

  const showFigure = () => {
    const figure = $("figure");
    plotted = state.shown.filter((row) => row.percent !== null)
      .sort((a, b) => a.percent - b.percent || byName(a.subject, b.subject));
    const step = (box.right - box.left) / Math.max(plotted.length, 1);
    const radius = Math.min(5, Math.max(1.2, step * 0.4));
    const parts = [];
    for (const value of [0, 20, 40, 60, 80, 100]) {
      parts.push(drawn("line", { class: "grid", x1: box.left, x2: box.right, y1: yOf(value), y2: yOf(value) }));
      parts.push(drawn("text", { x: box.left - 8, y: yOf(value) + 4, "text-anchor": "end" }, value + " %"));
    }
    const marks = Object.fromEntries(Object.keys(SHAPES).map((key) => [key, { dots: "", lines: "" }]));
    plotted.forEach((row, n) => {
      row.x = box.left + (n + 0.5) * step;
      const x = row.x.toFixed(1);
      if (row.low !== null) marks[row.stratum].lines += `M${x} ${yOf(row.low).toFixed(1)}V${yOf(row.high).toFixed(1)}`;
      marks[row.stratum].dots += SHAPES[row.stratum](Number(x), Number(yOf(row.percent).toFixed(1)), radius);
    });
    for (const [key, mark] of Object.entries(marks)) {
      parts.push(drawn("path", { class: "interval " + key, d: mark.lines, "stroke-width": Math.min(3, radius) }));
    }
    const y = about.threshold === null ? null : yOf(about.threshold);
    if (y !== null) {
      parts.push(drawn("line", { class: "threshold", x1: box.left, x2: box.right, y1: y, y2: y }));
      parts.push(drawn("text", { class: "named", x: box.left + 6, y: y - 6 }, `threshold ${about.threshold} %`));
    }
    for (const [key, mark] of Object.entries(marks)) parts.push(drawn("path", { class: "dot " + key, d: mark.dots }));
    parts.push(drawn("text", { x: box.right, y: box.bottom + 18, "text-anchor": "end" },
      `${plotted.length} subjects, by rising fraction`));
    figure.replaceChildren(...parts);
    const above = about.threshold === null ? 0 : plotted.filter((row) => row.percent >= about.threshold).length;
    figure.setAttribute("aria-label", `Resectable fraction of the tumour volume of ${plotted.length} subjects; ` +
      `${above} of them at or above the threshold. The table below lists the same numbers.`);
  };

  const show = () => {
    state.shown.sort(compare);
    showTable();
  };
  const filter = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [stratum, status] = [$("stratum").value, $("status").value];
    state.shown = rows.filter((row) => (!stratum || row.stratum === stratum) && (!status || row.status === status) &&
      words.every((word) => `${row.subject} ${row.say ?? ""}`.toLowerCase().includes(word)));
    state.page = 0;
    show();
    showFigure();
  };

  const headRow = $("subjects").tHead.rows[0];
  for (const [key, title] of columns) {
    const head = element("th", undefined, numeric.has(key) ? "number" : "");
    head.scope = "col";
    head.dataset.key = key;
    const button = element("button", title);
    button.type = "button";
    const arrow = element("span");
    arrow.setAttribute("aria-hidden", "true");
    button.append(arrow);
    button.addEventListener("click", () => {
      state.down = state.key === key ? !state.down : false;
      state.key = key;
      state.page = 0;
      show();
    });
    head.append(button);
    headRow.append(head);
  }
  for (const id of ["search", "stratum", "status"]) $(id).addEventListener("input", filter);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("before").addEventListener("click", () => { state.page -= 1; showTable(); });
  $("after").addEventListener("click", () => { state.page += 1; showTable(); });
  $("figure").addEventListener("pointermove", (event) => {
    if (!plotted.length) return;
    const area = $("figure").getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * 1000;
    const n = Math.floor(((x - box.left) / (box.right - box.left)) * plotted.length);
    const row = plotted[Math.min(Math.max(n, 0), plotted.length - 1)];
    $("pointed").textContent = `${row.subject}: ${row.words.percent}, ${row.words.stratum}`;
  });
  for (const part of document.querySelectorAll(".script")) part.hidden = false;
  filter();
})();

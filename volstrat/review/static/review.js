// The page: verdict, table, marks. Texts from files are only ever set as text.

import { Viewer } from "./panes.js";

const $ = (id) => document.getElementById(id);
const MARKINGS = ["resectable", "ablatable", "unresectable", "unknown"];
const COLUMNS = [
  { key: "id", title: "Lesion", order: (x) => [x.region ? 1 : 0, Number(x.id.slice(1))] },
  { key: "word", title: "Marking", order: (x) => [x.word] },
  { key: "site", title: "Name", order: (x) => [x.site], when: (rows) => rows.some((x) => x.site) },
  { key: "volume_ml", title: "ml", number: true, order: (x) => [-x.volume_ml] },
  { key: "axial_mm", title: "Axial mm", number: true, order: (x) => [-x.axial_mm] },
  { key: "suv_max", title: "SUVmax", number: true, order: (x) => [-(x.suv_max ?? -1)], when: (rows) => rows.some((x) => x.suv_max !== null) },
  { key: "avidity", title: "FDG", order: (x) => [x.avidity] },
  { key: "longest_mm", title: "Long mm", number: true, order: (x) => [-x.longest_mm] },
  { key: "reason", title: "Reason", order: (x) => [x.reason || "\uffff"] },
];

let state = { lesions: [], signs: {}, reading: 0, version: -1, mark: "", stage: "", verdict: null, images: null };
let chosen = "";
let sort = { key: "id", back: false };
const undoable = [];
const left = new Map(); // by lesion: the row's token as this page left it
const queue = [];
let written = { id: "", reading: 0, text: "", seen: "" }; // what the reason box showed before anybody wrote in it
let sending = false;
let unreachable = false;
let savedAt = "";

const viewer = new Viewer({
  picked: (id) => choose(id, { fly: false }),
  painted: (pane) => { if (!performance.getEntriesByName("first-picture").length && pane !== viewer.projection) performance.mark("first-picture"); },
});

function text(node, told) { if (node.textContent !== told) node.textContent = told; return node; }
function make(kind, told = "", className = "") {
  const node = document.createElement(kind);
  if (told) node.textContent = told;
  if (className) node.className = className;
  return node;
}
// Drawings come from our own server, which writes only numbers and names it escaped; parsed as XML, never as HTML.
function drawing(svg) { return document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true); }
function sign(word) { return state.signs[word] ? drawing(state.signs[word]) : document.createTextNode(""); }
const row = (id) => state.lesions.find((x) => x.id === id);
const ml = (x) => (x >= 100 ? x.toFixed(1) : x >= 0.1 ? x.toFixed(2) : x.toPrecision(2));

async function poll() {
  let next = null;
  const was = unreachable;
  try {
    const answer = await fetch(`/state?known=${encodeURIComponent(state.mark)}`);
    if (answer.status === 200) next = await answer.json();
    unreachable = answer.status !== 200 && answer.status !== 204;
  } catch {
    unreachable = true;
  }
  try {
    if (next) take(next);
    if (was !== unreachable) render();
    if (!unreachable) send();
  } finally { // whatever came of this, the next one is asked
    setTimeout(poll, state.stage && !unreachable ? 250 : 3000);
  }
}

function take(next) {
  if (next.reading < state.reading || (next.reading === state.reading && next.version < state.version)) return;
  const pictures = JSON.stringify(next.images) !== JSON.stringify(state.images);
  if (next.reading !== state.reading) { undoable.length = 0; left.clear(); } // lesions may have other names now
  state = next;
  viewer.reading = state.reading;
  viewer.version = state.version;
  if (!state.images) viewer.close();
  render();
  if (pictures && state.images) { viewer.open(state.images); renderTools(); if (row(chosen)) fly(chosen); }
  if (state.lesions.length && !row(chosen)) choose(state.lesions[0].id, { fly: true });
}

function render() {
  document.title = `${state.subject}: ${state.verdict?.title ?? "review"}`;
  text($("subject"), state.subject ?? "");
  renderVerdict();
  renderBanners();
  renderTable();
  renderPanel();
  renderSaved();
  viewer.selected = chosen;
  viewer.draw();
}

function renderVerdict() {
  const v = state.verdict;
  const failed = state.error || state.problem;
  $("stratum").className = `stratum ${failed ? "failed" : v?.stratum ?? ""}`;
  text($("stratum"), state.error ? "Failed" : state.problem ? "Table does not fit" : v?.title ?? "Reading ...");
  text($("status"), state.error || state.problem ? "" : v?.status ?? `${state.stage} ...`);
  $("bars").replaceChildren(...(v?.bars ?? []).map((bar) => {
    const card = make("div", "", "bar");
    const told = make("p");
    told.append(make("b", bar.holds), document.createTextNode(`: ${bar.told}`));
    card.append(make("h2", `${bar.title} ${bar.share}`), drawing(bar.svg), told);
    return card;
  }));
  text($("margin"), [v?.margin, v?.remnant].filter(Boolean).join(" "));
  $("changes").replaceChildren(...(v?.changes ?? []).map((told) => make("li", told)));
  const findings = v?.findings ?? [];
  const grave = findings.filter((f) => f.severity === "blocking" || f.severity === "review").length;
  text($("finding-count"), `(${findings.length}${grave ? `, ${grave} to look at` : ""})`);
  if (grave && !renderVerdict.opened) { $("findings-box").open = true; renderVerdict.opened = true; }
  $("findings").replaceChildren(...findings.map((f) => {
    const item = make("li", "", f.severity);
    item.append(make("b", `${f.word}: `), document.createTextNode(f.message));
    return item;
  }));
}

function renderBanners() {
  const told = [];
  const add = (words, bad = false, action = null) => {
    const line = make("p", words, bad ? "bad" : "");
    if (bad) line.setAttribute("role", "alert");
    if (action) {
      const button = make("button", action.title);
      button.type = "button";
      button.addEventListener("click", action.run);
      line.append(" ", button);
    }
    told.push(line);
  };
  const again = { title: "Read the case again", run: reload };
  if (unreachable) add("volstrat does not answer: its program has ended, or the connection is lost. Marks are kept here and saved when it answers.", true);
  if (state.error) add(`${state.error.message} ${state.error.hint}`.trim(), true, again);
  if (state.changed_input) add(`${state.changed_input} changed on disk since it was read. Marks made so far are saved; read the case again to go on.`, true, again);
  if (state.problem) add(state.problem, true);
  for (const s of state.strangers) {
    add(s.message, true, state.read_only ? null : { title: `Remove the row of ${s.id}`, run: () => enqueue({ lesion_id: s.id, seen: s.token }) });
  }
  if (state.stage === "Reading the images") add("Reading the images ... lesions can be marked meanwhile.");
  if (state.read_only) add("Read only: nothing is saved.");
  if (state.blind) add("Blind: other readers' marks are not shown.");
  for (const notice of state.notices ?? []) add(notice);
  const box = $("banners");
  if (box.textContent !== told.map((x) => x.textContent).join("")) box.replaceChildren(...told);
}

function renderSaved() {
  const node = $("saved");
  node.classList.toggle("bad", queue.length > 0 && (unreachable || Boolean(queue[0].failed)));
  if (queue.length) text(node, queue[0].failed || unreachable ? `NOT SAVED: ${queue.length} mark${queue.length > 1 ? "s" : ""}` : "saving ...");
  else text(node, savedAt);
  text($("table-name"), state.table ? `Marks: ${state.table}` : "");
}

function shownRows(kept = "") {
  const find = $("find").value.trim().toLowerCase(), only = $("only").value;
  const rows = state.lesions.filter((x) => x.id === kept || ((!only || x.word === only)
    && (!find || [x.id, x.site, x.word, x.avidity, x.reason].some((told) => String(told).toLowerCase().includes(find)))));
  const order = COLUMNS.find((c) => c.key === sort.key).order;
  const compare = (a, b) => {
    const [p, q] = [order(a), order(b)];
    for (let n = 0; n < p.length; n += 1) if (p[n] < q[n]) return -1; else if (p[n] > q[n]) return 1;
    return 0;
  };
  rows.sort((a, b) => compare(a, b) * (sort.back ? -1 : 1));
  return rows;
}

function renderHeads(columns) {
  const line = $("lesions").querySelector("thead tr");
  const told = JSON.stringify([columns.map((c) => c.key), sort]);
  if (line.dataset.told === told) return; // a head that is replaced while it is pressed is never clicked
  line.dataset.told = told;
  line.replaceChildren(...columns.map((c) => {
    const head = make("th", "", c.number ? "number" : "");
    head.scope = "col";
    if (sort.key === c.key) head.setAttribute("aria-sort", sort.back ? "descending" : "ascending");
    const button = make("button", `${c.title}${sort.key === c.key ? (sort.back ? " ▴" : " ▾") : ""}`);
    button.type = "button";
    button.addEventListener("click", () => {
      sort = { key: c.key, back: sort.key === c.key && !sort.back };
      renderTable();
      $("lesions").querySelectorAll("thead button")[columns.indexOf(c)].focus();
    });
    head.append(button);
    return head;
  }));
}

function renderTable() {
  const columns = COLUMNS.filter((c) => !c.when || c.when(state.lesions));
  const focused = document.activeElement?.closest?.("#lesions tbody") ? chosen : "";
  renderHeads(columns);
  const rows = shownRows();
  const waiting = new Set(queue.map((m) => m.lesion_id));
  $("lesions").tBodies[0].replaceChildren(...rows.map((x) => {
    const line = make("tr", "", [x.id === chosen ? "chosen" : "", waiting.has(x.id) ? "pending" : ""].join(" ").trim());
    line.dataset.id = x.id;
    line.append(...columns.map((c) => cell(c, x)));
    return line;
  }));
  if (!rows.some((x) => x.id === chosen)) $("lesions").tBodies[0].querySelector("button")?.setAttribute("tabindex", "0");
  text($("count"), `${rows.length === state.lesions.length ? "" : `${rows.length} of `}${state.lesions.length} lesion${state.lesions.length === 1 ? "" : "s"}`);
  if (focused && !focusRow(focused)) $("rows-box").focus(); // the filter took it; the keys stay in the table
}

function cell(column, x) {
  if (column.key === "id") {
    const head = make("th");
    head.scope = "row";
    const button = make("button", x.id);
    button.type = "button";
    button.tabIndex = x.id === chosen ? 0 : -1;
    if (x.id === chosen) button.setAttribute("aria-current", "true");
    head.append(button);
    return head;
  }
  if (column.key === "word") {
    const node = make("td", "", "word");
    const share = x.word === "partial" && x.share !== null ? ` ${(100 * x.share).toFixed(0)} %` : "";
    node.append(sign(x.word), make("span", x.word + share, { mask: "from-mask", table: "marked" }[x.source] ?? ""));
    if (x.source === "mask") node.append(make("span", " by the mask", "unseen"));
    for (const other of x.others) node.append(make("span", `${other.reader}: ${other.word}`, "others"));
    if (x.misfit) node.append(make("span", "row does not fit", "others misfit"));
    return node;
  }
  if (column.number) return make("td", x[column.key] === null ? "-" : column.key === "volume_ml" ? ml(x.volume_ml) : x[column.key].toFixed(1), "number");
  return make("td", String(x[column.key]), column.key === "avidity" ? "word" : "text");
}

function isLocked() { return state.read_only || Boolean(state.changed_input) || Boolean(state.error); }

function renderPanel() {
  const x = row(chosen);
  const locked = !x || isLocked();
  const title = x ? `${x.id}${x.site ? ` ${x.site}` : ""}, ${ml(x.volume_ml)} ml, ${x.axial_mm.toFixed(1)} mm axial` : "No lesion chosen";
  text($("chosen"), title);
  const words = [...MARKINGS, ""];
  const box = $("marking");
  if (box.dataset.built !== "1") {
    box.dataset.built = "1";
    for (const [n, word] of words.entries()) {
      const label = make("label");
      const input = make("input");
      Object.assign(input, { type: "radio", name: "marking", value: word });
      input.addEventListener("change", () => mark({ resectability: word }));
      label.append(input, make("kbd", String((n + 1) % 5)), " ", word ? sign(word) : "", document.createTextNode(word || "no mark"));
      box.append(label);
    }
  }
  text(box.lastElementChild.lastChild, state.masked && !x?.region ? "as the mask" : "no mark");
  box.disabled = locked;
  const waiting = queue.filter((m) => m.lesion_id === chosen).at(-1);
  const now = waiting ?? { resectability: x?.marked ?? "", fdg_avidity: x?.called ?? "", reason: x?.reason ?? "" };
  for (const input of box.querySelectorAll("input")) input.checked = Boolean(x) && input.value === now.resectability;
  $("called").disabled = $("reason").disabled = locked;
  $("called").value = now.fdg_avidity;
  text($("called").options[2], x?.region ? "not tumour: dismiss" : "not avid");
  const same = written.id === chosen && written.reading === state.reading;
  if (!same || document.activeElement !== $("reason") || reasonTold() === written.text) {
    if ($("reason").value !== now.reason) $("reason").value = now.reason;
    written = { id: chosen, reading: state.reading, text: now.reason, seen: waiting?.seen ?? x?.token ?? "" };
  }
  $("reader-line").hidden = Boolean(state.reader) || state.read_only;
  const by = x && (x.by || x.at) ? `Last: ${[x.by, x.at].filter(Boolean).join(", ")}` : x?.source === "mask" ? "Marked by the mask." : "";
  text($("last"), x?.misfit ? `${x.misfit}` : [state.reader ? `Reader ${state.reader}.` : "", by].filter(Boolean).join(" "));
  $("undo").disabled = !undoable.length || isLocked();
}

function renderTools() {
  const images = state.images;
  const box = $("windows");
  box.hidden = !images.ct;
  box.replaceChildren(...Object.entries(images.windows).map(([name, window]) => {
    const button = make("button", name);
    button.type = "button";
    button.dataset.window = window.join();
    button.addEventListener("click", () => { viewer.window = [...window]; tools(); viewer.draw(); });
    return button;
  }));
  for (const node of document.querySelectorAll(".pet")) node.hidden = !images.pet;
  for (const node of document.querySelectorAll(".pet-only")) node.hidden = !(images.pet && images.ct);
  for (const node of document.querySelectorAll(".avid")) node.hidden = !images.avid;
  $("projected").hidden = !images.pet;
  tools();
}

function tools() {
  for (const button of $("windows").children) button.setAttribute("aria-pressed", String(button.dataset.window === viewer.window.join()));
  $("suv").value = String(Number(viewer.suv.toPrecision(3)));
  $("opacity").value = String(viewer.opacity);
  const p = viewer.projection;
  text($("direction"), p.plane === "coronal" ? "Sagittal" : "Coronal");
  text($("projected"), p.of === "pet" ? "Lesions" : "PET");
}
viewer.changed = tools;

function fly(id) {
  const point = row(id)?.point_mm;
  if (point) viewer.go(point);
}

function focusRow(id) {
  const button = $("lesions").querySelector(`tr[data-id="${CSS.escape(id)}"] button`);
  button?.focus();
  return Boolean(button);
}

function choose(id, { fly: move = true, focus = false } = {}) {
  if (!row(id)) return;
  flushReason();
  chosen = id;
  viewer.selected = id;
  renderTable();
  renderPanel();
  const line = $("lesions").querySelector(`tr[data-id="${CSS.escape(id)}"]`);
  line?.scrollIntoView({ block: "nearest" });
  if (focus) focusRow(id);
  if (move) fly(id); else viewer.draw();
}

function step(by, focus) {
  const rows = shownRows(chosen);
  if (!rows.length) return;
  const at = rows.findIndex((x) => x.id === chosen);
  choose(rows[Math.min(Math.max(at + by, 0), rows.length - 1)].id, { focus });
}

// A mark changes some words of the chosen row; the others stay as they are shown. It is made on the row as it was
// seen: that of `seen`, else of a mark that waits, else the one in the table.
function mark(words, { id = chosen, remember = true, seen = null, late = false } = {}) {
  const x = row(id);
  if (!x || (isLocked() && !late)) return;
  const waiting = queue.filter((m) => m.lesion_id === id).at(-1);
  const before = waiting ?? { resectability: x.marked, fdg_avidity: x.called, reason: x.reason };
  const after = { resectability: before.resectability, fdg_avidity: before.fdg_avidity, reason: before.reason, ...words };
  const same = ["resectability", "fdg_avidity", "reason"].every((key) => before[key] === after[key]);
  if (same && !x.misfit) return;
  const undoes = { id, resectability: before.resectability, fdg_avidity: before.fdg_avidity, reason: before.reason };
  if (remember) undoable.push(undoes);
  enqueue({ lesion_id: id, ...after, seen: waiting?.seen ?? seen ?? x.token, undoes });
}

function enqueue(one) {
  queue.push({ resectability: "", fdg_avidity: "", reason: "", reader: $("reader").value.trim(), reading: state.reading, ...one, pressed: performance.now() });
  renderTable();
  renderPanel();
  renderSaved();
  send();
}

async function send() {
  if (sending || !queue.length || queue[0].failed) return; // a refused mark waits for a decision
  sending = true;
  try {
    while (queue.length) {
      const one = queue[0];
      const { pressed, failed, undoes, ...body } = one;
      let answer;
      let told;
      try {
        answer = await fetch("/mark", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
        told = await answer.json();
      } catch {
        unreachable = true;
        renderBanners();
        break;
      }
      if (answer.status === 409) {
        queue.shift();
        take(told.state);
        await settle(one, told);
        continue;
      }
      if (!answer.ok) {
        one.failed = told.error ?? "not saved";
        if (told.state) take(told.state);
        renderSaved();
        await refused(one, told.error ?? "The mark was not saved.");
        break;
      }
      queue.shift();
      const after = told.state.lesions.find((x) => x.id === one.lesion_id)?.token ?? "";
      // What waits was made on the row as it was before this mark.
      for (const later of queue) if (later.lesion_id === one.lesion_id && later.seen === one.seen) later.seen = after;
      if (written.id === one.lesion_id && written.seen === one.seen) written.seen = after;
      left.set(one.lesion_id, after);
      savedAt = `saved ${new Date().toISOString().slice(11, 19)} UTC: ${one.lesion_id} ${one.resectability || "no mark"}`;
      take(told.state);
      document.body.dataset.markMs = String(Math.round(performance.now() - pressed));
    }
  } finally {
    sending = false;
    renderTable();
    renderPanel();
    renderSaved();
  }
}

// A mark that cannot be saved stays in sight: try again, or drop it.
function refused(one, why) {
  const line = make("p", `${one.lesion_id} is not saved: ${why}`, "bad");
  line.setAttribute("role", "alert");
  for (const [title, keep] of [["Try again", true], ["Drop this mark", false]]) {
    const button = make("button", title);
    button.type = "button";
    button.addEventListener("click", () => {
      line.remove();
      if (!keep) drop(one);
      else delete one.failed;
      render();
      send();
    });
    line.append(" ", button);
  }
  $("banners").after(line);
}

// With a mark goes what was made on top of it; what never came to be cannot be undone.
function drop(one) {
  for (const gone of [one, ...queue.filter((m) => m !== one && m.lesion_id === one.lesion_id && m.seen === one.seen)]) {
    if (queue.includes(gone)) queue.splice(queue.indexOf(gone), 1);
    if (undoable.includes(gone.undoes)) undoable.splice(undoable.indexOf(gone.undoes), 1);
  }
}

function settle(one, told) {
  const last = queue.filter((m) => m.lesion_id === one.lesion_id && m.seen === one.seen).at(-1) ?? one;
  const words = [last.resectability || "no mark", last.fdg_avidity.replace("_", " "), last.reason && `"${last.reason}"`];
  text($("conflict-text"), `${told.error} Yours: ${words.filter(Boolean).join(", ")}.`);
  $("conflict").showModal();
  return new Promise((done) => {
    const end = (mine) => {
      $("conflict").close();
      $("keep").onclick = $("replace").onclick = $("conflict").oncancel = null;
      if (mine) {
        for (const later of queue) if (later.lesion_id === one.lesion_id && later.seen === one.seen) later.seen = told.conflict.token;
        queue.unshift({ ...one, seen: told.conflict.token });
        const theirs = row(one.lesion_id); // what it replaces is what undo puts back
        if (theirs && one.undoes) Object.assign(one.undoes, { resectability: theirs.marked, fdg_avidity: theirs.called, reason: theirs.reason });
      } else {
        drop(one);
      }
      render();
      done();
    };
    $("keep").onclick = () => end(false);
    $("replace").onclick = () => end(true);
    $("conflict").oncancel = () => end(false);
  });
}

function undo() {
  if (!undoable.length || isLocked()) return;
  const last = undoable.pop();
  const words = { resectability: last.resectability, fdg_avidity: last.fdg_avidity, reason: last.reason };
  mark(words, { id: last.id, remember: false, seen: left.get(last.id) });
  choose(last.id, { fly: true });
}

function reasonTold() { return $("reason").value.split(/\s+/).filter(Boolean).join(" "); }

// Saves what was written on the row as it was when the writing began; a box that was only entered saves nothing.
function flushReason() {
  clearTimeout(flushReason.soon);
  const told = reasonTold();
  if (written.reading !== state.reading || told === written.text) return;
  written.text = told;
  mark({ reason: told }, { id: written.id, seen: written.seen, late: true }); // late: refused aloud, never lost
}

function reload() {
  fetch("/reload", { method: "POST" }).then(() => { state.mark = ""; }).catch(() => {});
}

$("reason").addEventListener("input", () => { clearTimeout(flushReason.soon); flushReason.soon = setTimeout(flushReason, 900); });
$("reason").addEventListener("blur", flushReason);
$("reason").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); flushReason(); focusRow(chosen); } });
$("called").addEventListener("change", () => mark({ fdg_avidity: $("called").value }));
$("panel").addEventListener("submit", (e) => e.preventDefault());
$("undo").addEventListener("click", undo);
$("find").addEventListener("input", renderTable);
$("only").addEventListener("change", renderTable);
$("fit").addEventListener("click", () => viewer.fit());
$("opacity").addEventListener("input", () => { viewer.opacity = Number($("opacity").value); viewer.draw(); });
$("suv").addEventListener("change", () => { const x = Number($("suv").value); if (x > 0) { viewer.suv = x; viewer.draw(); } tools(); });
$("show-lesions").addEventListener("change", () => { viewer.lesions = $("show-lesions").checked; viewer.draw(); });
$("show-avid").addEventListener("change", () => { viewer.avid = $("show-avid").checked; viewer.draw(); });
$("direction").addEventListener("click", () => viewer.turn());
$("projected").addEventListener("click", () => { viewer.projection.of = viewer.projection.of === "pet" ? "lesions" : "pet"; tools(); viewer.draw(); });
$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
$("reader").addEventListener("change", () => localStorage.setItem("reader", $("reader").value.trim()));
// On the press: it saves a reason that is being written, which draws the table anew, and then there is no click.
for (const kind of ["mousedown", "click"]) {
  $("lesions").tBodies[0].addEventListener(kind, (e) => {
    const id = e.target.closest("tr")?.dataset.id;
    if (!id || e.button) return;
    e.preventDefault();
    choose(id, { focus: true });
  });
}

function theme(name) { document.documentElement.dataset.theme = name; }
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  theme(next);
});
theme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
$("reader").value = localStorage.getItem("reader") ?? "";

document.addEventListener("keydown", (e) => {
  const typing = e.target.matches?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea") || document.querySelector("dialog[open]");
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z" && !typing) { e.preventDefault(); undo(); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const inTable = Boolean(e.target.closest?.("#rows-box"));
  const here = inTable || e.target === document.body || Boolean(e.target.closest?.("#panes, #panel"));
  if (!here) return;
  const number = "12340".indexOf(e.key);
  if (e.key.length === 1 && number >= 0) viewer.settled(() => mark({ resectability: [...MARKINGS, ""][number] }));
  else if (inTable && (e.key === "ArrowDown" || e.key === "ArrowUp")) step(e.key === "ArrowDown" ? 1 : -1, true);
  else if (inTable && (e.key === "PageDown" || e.key === "PageUp")) step(e.key === "PageDown" ? 10 : -10, true);
  else if (e.key === "n" || e.key === "N") step(1, inTable);
  else if (e.key === "p" || e.key === "P") step(-1, inTable);
  else if (e.key === "r" || e.key === "R") $("reason").focus();
  else if (e.key === "w" || e.key === "W") nextWindow();
  else if (e.key === "?") $("help").showModal();
  else return;
  e.preventDefault();
});

function nextWindow() {
  const buttons = [...$("windows").children];
  const at = buttons.findIndex((b) => b.getAttribute("aria-pressed") === "true");
  if (buttons.length) buttons[(at + 1) % buttons.length].click();
}

window.addEventListener("beforeunload", (e) => { flushReason(); if (queue.length) e.preventDefault(); });
poll();

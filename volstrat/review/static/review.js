// The page: verdict, decisions, reading. Texts from files are only ever set as text.

import { MARKINGS, NOT_TUMOUR, $, button, drawing, isLocked, isOpen, kept, make, merge, ml, row, shared, sign, text } from "./store.js";
import { Viewer } from "./panes.js";
import { refreshPlans, startPlans } from "./plans.js";
import { focusRow, renderSome, renderTable, reveal, shownRows, startTable } from "./table.js";
import { canUndo, enqueue, forgetUndo, forgetUnsaved, markRows, queue, recallUndo, send, startMarks, told, undo, unsaved, waiting, waitingFor } from "./marks.js";

let written = { id: "", reading: 0, text: "", seen: "" }; // what the reason box showed before anybody wrote in it
let asking = null; // a mark that waits for the reader's name
let everSaid = "";

const viewer = new Viewer({
  picked: (id) => choose(id, { fly: false }),
  painted: (pane) => { if (!performance.getEntriesByName("first-picture").length && pane !== viewer.projection) performance.mark("first-picture"); },
  pointed: renderCursor,
  wordOf: (name) => row(name)?.word ?? "unknown",
});
startPlans(viewer);
const settings = kept.get("settings", { advance: true, chips: ["vein", "remnant too small", "too many", "inflow"] });
const keepSettings = () => kept.set("settings", settings);

async function poll() {
  let next = null;
  const was = told.unreachable;
  try {
    const answer = await fetch(`/state?known=${encodeURIComponent(shared.state.mark)}`);
    if (answer.status === 200) next = await answer.json();
    told.unreachable = answer.status !== 200 && answer.status !== 204;
  } catch {
    told.unreachable = true;
  }
  try {
    if (next) take(next);
    if (was !== told.unreachable) { renderBanners(); renderSaved(); }
    if (!told.unreachable) send();
  } finally { // whatever came of this, the next one is asked
    const { state } = shared;
    setTimeout(poll, told.unreachable ? 3000 : state.stage || state.verdict?.following || !state.images ? 250 : 1000);
  }
}

function take(next) {
  const before = shared.state;
  if (next.reading < before.reading || (next.reading === before.reading && next.version < before.version)) return;
  const again = next.reading !== before.reading, fresh = next.images !== undefined;
  if (again) forgetUndo(); // lesions may have other names now
  const changed = next.lesions === undefined ? (next.changed ?? []).map((x) => x.id) : null;
  merge(next);
  if (again) recallUndo();
  viewer.styles = shared.state.styles;
  viewer.avidColour = shared.state.avid_colour ?? viewer.avidColour;
  if (!shared.state.images) viewer.close();
  else if (fresh) { viewer.open(shared.state.images, shared.state.mark.split("|").slice(0, 1).concat(shared.state.mark.split("|").slice(2, 4)).join("-")); renderTools(); }
  if (changed) renderChanged(changed); else render();
  refreshPlans();
  if (fresh && row(shared.chosen)) fly(shared.chosen);
  if (shared.state.lesions.length && !row(shared.chosen)) choose(firstToMark()?.id ?? shared.state.lesions[0].id);
}

function firstToMark() { return shownRows().find((x) => isOpen(x) && !waitingFor(x.id)); }

function render() {
  renderTable();
  renderRest();
}
function renderChanged(ids) {
  renderSome(ids);
  renderRest();
}
function renderRest() {
  document.title = `${shared.state.subject}: ${shared.state.verdict?.title ?? "review"}`;
  text($("subject"), shared.state.subject ?? "");
  renderVerdict();
  renderBanners();
  renderPanel();
  renderSaved();
  renderReading();
  viewer.draw();
}

function renderVerdict() {
  const { state } = shared, v = state.verdict, failed = state.error || state.problem;
  $("stratum").className = `stratum ${failed ? "failed" : v?.to_mark && v.title === v.to_mark ? "to-mark" : v?.stratum ?? ""}`;
  text($("stratum"), state.error ? "Failed" : state.problem ? "Table does not fit" : v?.title ?? "Reading ...");
  text($("status"), state.error || state.problem ? "" : v?.status ?? `${state.stage} ...`);
  const said = JSON.stringify(v);
  if (said === everSaid) return;
  everSaid = said;
  $("bars").replaceChildren(...(v?.bars ?? []).map((bar) => {
    const card = make("div", "", "bar"), head = make("h2", `${bar.title} ${bar.share}, `);
    head.append(make("span", bar.met, bar.met.replace(" ", "_")));
    const line = make("p", bar.told);
    if (bar.counted) line.append(make("small", ` (${bar.counted})`));
    card.append(head, drawing(bar.svg), line);
    return card;
  }));
  text($("margin"), [v?.margin, v?.remnant].filter(Boolean).join(" "));
  $("changes").replaceChildren(...(v?.following ? ["..."] : v?.changes ?? []).map((line) => make("li", line)));
  const findings = v?.findings ?? [], grave = findings.filter((f) => f.severity === "blocking" || (f.severity === "review" && !f.closed)).length;
  text($("finding-count"), `(${findings.length}${grave ? `, ${grave} to look at` : ""})`);
  $("finding-count").classList.toggle("grave", grave > 0);
  $("findings").replaceChildren(...findings.map((f) => {
    const item = make("li", "", f.severity);
    item.append(make("b", `${f.closed ? "Closed" : f.word}: `), document.createTextNode(`${f.message} `));
    if (f.closed) item.append(make("span", `${f.closed.by}: ${f.closed.reason}`, "soft"));
    else if (f.severity === "review" && !state.read_only) item.append(button("Close ...", () => askWords("accept", f)));
    return item;
  }));
}

function renderBanners() {
  const { state } = shared, lines = [];
  const add = (words, bad = false, ...actions) => {
    const line = make("p", `${words} `, bad ? "bad" : "");
    if (bad) line.setAttribute("role", "alert");
    for (const [title, run] of actions) line.append(button(title, run), " ");
    lines.push(line);
  };
  const again = ["Read the case again", reload];
  if (told.unreachable) {
    const waits = queue.flatMap((m) => m.marks.map((x) => `${x.lesion_id} ${x.resectability || "no mark"}`));
    add(`volstrat does not answer: its program has ended, or the connection is lost. ${waits.length ? `Not saved: ${waits.join(", ")}. They are kept here, and offered when the case is opened again.` : "All marks are saved."}`, true);
  }
  if (state.error) add(`${state.error.message} ${state.error.hint}`.trim(), true, again);
  if (state.changed_input) add(`${state.changed_input} changed on disk since it was read. Marks made so far are saved; read the case again to go on.`, true, again);
  if (state.problem) add(state.problem, true);
  for (const s of state.strangers) {
    add(s.message, true, ...(state.read_only ? [] : [[`Remove the row of ${s.id}`, () => enqueue([{ lesion_id: s.id, seen: s.token }])]]));
  }
  const lost = state.lesions.length && !told.unreachable && !isLocked() && !queue.length ? unsaved().filter(([id]) => row(id)) : [];
  if (lost.length) {
    add(`${lost.length} mark${lost.length > 1 ? "s were" : " was"} not saved when the program ended: ${lost.map(([id, word]) => `${id} ${word || "no mark"}`).join(", ")}.`, true,
      ["Save them now", () => { forgetUnsaved(); markRows(lost.map(([id, resectability, fdg_avidity, reason]) => ({ id, resectability, fdg_avidity, reason }))); }],
      ["Drop them", () => { forgetUnsaved(); renderBanners(); }]);
  }
  if (state.signed) add(`Reading complete: signed by ${state.signed.by} at ${state.signed.at}. `, false, ...(state.read_only ? [] : [["Open it again ...", () => askWords("reopened")]]));
  if (state.stage === "Reading the images") add("Reading the images ... lesions can be marked meanwhile.");
  if (state.read_only) add("Read only: nothing is saved.");
  if (state.blind) add("Blind: other readers' marks are not shown.");
  for (const notice of state.warnings ?? []) add(notice);
  const box = $("banners");
  if (box.textContent !== lines.map((x) => x.textContent).join("")) box.replaceChildren(...lines);
}

function renderSaved() {
  const node = $("saved"), held = queue.reduce((n, m) => n + m.marks.length, 0);
  node.classList.toggle("bad", held > 0 && (told.unreachable || Boolean(queue[0].failed)));
  if (held) text(node, queue[0].failed || told.unreachable ? `NOT SAVED: ${held} mark${held > 1 ? "s" : ""}` : "saving ...");
  else text(node, told.savedAt);
  text($("table-name"), [shared.state.table ? `Marks: ${shared.state.table}.` : "", ...(shared.state.notices ?? [])].join(" "));
}

// How far the reading is: so many of all are marked, by a reader or as drawn.
function renderReading() {
  const { state } = shared, all = state.lesions.filter((x) => x.word !== "dismissed"), open = all.filter(isOpen).length;
  text($("progress"), state.lesions.length ? `${all.length - open} of ${all.length} marked` : "");
  $("next").disabled = !open;
  $("complete").hidden = Boolean(state.signed) || state.read_only;
  $("complete").disabled = open > 0 || isLocked() || !state.lesions.length;
  $("mark-shown").disabled = isLocked();
  if (document.activeElement !== $("note") && $("note").value !== state.note) $("note").value = state.note ?? "";
  $("note").disabled = $("note-save").disabled = state.read_only;
}

function renderPanel() {
  const { state, chosen } = shared, x = row(chosen), locked = !x || isLocked();
  text($("chosen"), x ? `${x.id}${x.site ? ` ${x.site}` : ""}, ${ml(x.volume_ml)} ml, ${x.axial_mm.toFixed(1)} mm axial, ${x.longest_mm.toFixed(1)} mm longest` : "No lesion chosen");
  const box = $("marking");
  if (box.dataset.built !== "1" && Object.keys(state.signs).length) {
    box.dataset.built = "1";
    for (const [n, word] of [...MARKINGS, NOT_TUMOUR, ""].entries()) {
      const label = make("label"), input = make("input");
      Object.assign(input, { type: "radio", name: "marking", value: word });
      input.addEventListener("change", () => mark({ resectability: word }));
      const key = word === NOT_TUMOUR ? "" : make("kbd", String(word ? n + 1 : 0));
      label.append(input, key, " ", word ? sign(word) : "", document.createTextNode(word.replace("_", " ") || "no mark"));
      box.append(label);
    }
  }
  if (box.lastElementChild?.lastChild) text(box.lastElementChild.lastChild, state.masked && !x?.region ? "as drawn" : "no mark");
  for (const input of box.querySelectorAll(`input[value="${NOT_TUMOUR}"]`)) input.parentElement.hidden = Boolean(x?.region);
  box.disabled = locked;
  const held = waitingFor(chosen);
  const now = held ?? { resectability: x?.marked ?? "", fdg_avidity: x?.called ?? "", reason: x?.reason ?? "" };
  for (const input of box.querySelectorAll("input")) input.checked = Boolean(x) && input.value === now.resectability;
  $("called").disabled = $("reason").disabled = locked;
  $("called").value = now.fdg_avidity;
  text($("called").options[2], x?.region ? "not tumour: dismiss" : "not avid");
  renderPlace(x, held, locked);
  const same = written.id === chosen && written.reading === state.reading;
  if (!same || document.activeElement !== $("reason") || reasonTold() === written.text) {
    if ($("reason").value !== now.reason) $("reason").value = now.reason;
    written = { id: chosen, reading: state.reading, text: now.reason, seen: held?.seen ?? x?.token ?? "" };
  }
  $("reader-line").hidden = Boolean(state.reader) || state.read_only;
  const by = x && (x.by || x.at) ? `Last: ${[x.by, x.at].filter(Boolean).join(", ")}` : x?.source === "plan" ? "As the chosen plan says; in the liver a mark of your own stands behind it." : x?.source === "mask" ? "Marked as drawn." : "";
  text($("last"), x?.misfit ? `${x.misfit}` : [state.reader ? `Reader ${state.reader}.` : "", by].filter(Boolean).join(" "));
  $("undo").disabled = !canUndo();
  renderChips();
  renderNearest();
}

// Where a lesion lies; of a region without one, which lesion it belongs to: near ones first.
function renderPlace(x, held, locked) {
  $("site-line").hidden = Boolean(x?.region);
  $("belongs-line").hidden = !x?.region;
  $("site-word").disabled = $("belongs").disabled = locked;
  $("site-word").value = held?.site ?? (x?.site_source === "table" ? x.site_word : "");
  text($("site-word").options[0], x?.site_word && x.site_source !== "table" ? x.site_word.replace("_", " ") : "not stated");
  if (!x?.region) return;
  const ids = shared.state.lesions.filter((one) => !one.region).map((one) => one.id);
  const said = JSON.stringify([x.id, ids, x.near]);
  if ($("belongs").dataset.told !== said) {
    $("belongs").dataset.told = said;
    const near = x.near?.[0];
    const sorted = near ? [near, ...ids.filter((id) => id !== near)] : ids;
    $("belongs").replaceChildren(new Option("no lesion", ""), ...sorted.map((id) => new Option(id === near ? `${id}, ${x.near[1].toFixed(1)} mm away` : id, id)));
  }
  $("belongs").value = held?.belongs_to ?? x.belongs_to;
}

function renderChips() {
  const box = $("chips"), words = JSON.stringify([settings.chips, isLocked()]);
  if (box.dataset.told === words) return;
  box.dataset.told = words;
  box.replaceChildren(...settings.chips.map((word) => {
    const chip = button(word, () => mark({ reason: word }), "chip");
    chip.disabled = isLocked();
    chip.title = "Click: write this reason. Shift and click: take the chip away.";
    chip.addEventListener("click", (e) => { if (e.shiftKey) { e.stopImmediatePropagation(); settings.chips = settings.chips.filter((x) => x !== word); keepSettings(); renderChips(); } }, { capture: true });
    return chip;
  }), button("+", () => {
    const word = reasonTold();
    if (!word || settings.chips.includes(word)) { $("reason").focus(); return; }
    settings.chips.push(word.slice(0, 40));
    keepSettings();
    renderChips();
  }, "chip"));
  box.lastElementChild.title = "Keep the written reason as a chip";
  box.lastElementChild.setAttribute("aria-label", "Keep the written reason as a chip");
}

let nearestOf = "";
function renderNearest() {
  const { state, chosen } = shared;
  const key = `${state.reading} ${chosen}`;
  if (nearestOf === key || state.stage || !row(chosen) || !state.images) return;
  nearestOf = key;
  text($("nearest"), "");
  clearTimeout(renderNearest.soon);
  renderNearest.soon = setTimeout(() => { // not while one walks through the list
    fetch(`/nearest?${new URLSearchParams({ lesion: chosen })}`).then((answer) => answer.json()).then((found) => {
      if (nearestOf === key && found.nearest) text($("nearest"), `${found.nearest.mm.toFixed(1)} mm to ${found.nearest.lesion}`);
    }).catch(() => {});
  }, 700);
}

function renderCursor(at) {
  if (!at) { text($("cursor"), ""); return; }
  const parts = [at.hu === null ? "" : `${Math.round(at.hu)} HU`, at.suv === null ? "" : `${shared.state.images?.unit || "PET"} ${at.suv.toFixed(2)}`, at.lesion, `x ${at.point[0].toFixed(1)}, y ${at.point[1].toFixed(1)}, z ${at.point[2].toFixed(1)} mm`];
  text($("cursor"), parts.filter(Boolean).join("  \u00b7  "));
}

function renderTools() {
  const { images } = shared.state, box = $("windows");
  box.hidden = !images.ct;
  box.replaceChildren(...Object.entries(images.windows).map(([name, window], n) => {
    const one = button(name, () => { viewer.window = [...window]; tools(); viewer.draw(); });
    one.dataset.window = window.join();
    one.title = `Key ${n + 5}`;
    return one;
  }));
  for (const node of document.querySelectorAll(".pet")) node.hidden = !images.pet;
  for (const node of document.querySelectorAll(".both")) node.hidden = !(images.pet && images.ct);
  for (const node of document.querySelectorAll(".avid")) node.hidden = !images.avid;
  $("projected").hidden = !images.pet;
  tools();
}

function tools() {
  for (const one of $("windows").children) one.setAttribute("aria-pressed", String(one.dataset.window === viewer.window.join()));
  for (const one of $("layouts").children) one.setAttribute("aria-pressed", String(one.dataset.layout === viewer.layout));
  for (const one of $("layers").children) { one.setAttribute("aria-pressed", String(one.dataset.layer === viewer.layer)); one.disabled = viewer.layout !== "planes"; }
  $("suv").value = String(Number(viewer.suv.toPrecision(3)));
  $("opacity").value = String(viewer.opacity);
  $("ruler").setAttribute("aria-pressed", String(viewer.measuring));
  const p = viewer.projection;
  text($("direction"), p.turning || p.view === 0 ? "Turn" : "Front");
  text($("projected"), p.of === "pet" ? "Lesions" : "PET");
}
viewer.changed = tools;
viewer.measured = (mm) => text($("cursor"), `${mm.toFixed(1)} mm`);

function fly(id) {
  const x = row(id);
  if (x?.point_mm) viewer.jump(x.point_mm, x.box_mm);
}

function choose(id, { fly: move = true, focus = false } = {}) {
  if (!row(id)) return;
  flushReason();
  const before = shared.chosen;
  shared.chosen = viewer.selected = id;
  renderSome([before, id]);
  renderPanel();
  reveal(id);
  if (focus) focusRow(id);
  if (move) fly(id); else viewer.draw();
}

function step(by, focus) {
  const rows = shownRows(shared.chosen);
  if (!rows.length) return;
  const at = rows.findIndex((x) => x.id === shared.chosen);
  choose(rows[Math.min(Math.max(at + by, 0), rows.length - 1)].id, { focus });
}

// The next that nobody has marked, from the chosen one on.
function next(focus) {
  const rows = shownRows(shared.chosen), at = rows.findIndex((x) => x.id === shared.chosen);
  const open = [...rows.slice(at + 1), ...rows.slice(0, at)].find((x) => isOpen(x) && !waitingFor(x.id)?.resectability);
  if (open) choose(open.id, { focus });
}

// The reader's name is asked once, before the first mark.
function withReader(act) {
  if (shared.state.reader || $("reader").value.trim() || kept.get("nameless", false)) { act(); return; }
  asking = act;
  $("who").value = "";
  $("who-dialog").showModal();
}
function answered(name) {
  $("who-dialog").close();
  if (name) { $("reader").value = name; kept.set("reader", name); } else kept.set("nameless", true);
  const act = asking;
  asking = null;
  act?.();
}

function mark(words, { id = shared.chosen, seen = null, late = false, advance = false } = {}) {
  const x = row(id);
  if (!x || (isLocked() && !late)) return;
  const open = isOpen(x) && !waitingFor(id)?.resectability;
  withReader(() => {
    if (markRows([{ id, seen, ...words }], { late }) && advance && open && words.resectability && words.resectability !== "unknown" && settings.advance && id === shared.chosen) {
      next(Boolean(document.activeElement?.closest?.("#rows-box")));
    }
  });
}

function reasonTold() { return $("reason").value.split(/\s+/).filter(Boolean).join(" "); }

// Saves what was written on the row as it was when the writing began; a box that was only entered saves nothing.
function flushReason() {
  clearTimeout(flushReason.soon);
  const words = reasonTold();
  if (written.reading !== shared.state.reading || words === written.text) return;
  written.text = words;
  mark({ reason: words }, { id: written.id, seen: written.seen, late: true }); // late: refused aloud, never lost
}

function reload() { fetch("/reload", { method: "POST" }).then(() => { shared.state.mark = ""; }).catch(() => {}); }

async function post(kind, words = "") {
  const body = { kind, text: words, by: $("reader").value.trim(), known: shared.state.mark };
  try {
    const answer = await fetch("/note", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const said = await answer.json();
    if (said.state) take(said.state);
    told.savedAt = answer.ok ? `saved ${new Date().toISOString().slice(11, 19)} UTC: ${{ complete: "reading complete", reopened: "opened again", note: "note", key_image: "key image" }[kind]}` : said.error;
  } catch { told.savedAt = "Not saved: volstrat does not answer."; }
  renderSaved();
}

function askWords(kind, finding = null) {
  text($("words-title"), kind === "reopened" ? "Open the reading again, because" : "Close this finding, because");
  $("words").value = "";
  $("words-ok").onclick = () => {
    const words = $("words").value.trim();
    if (!words) return;
    $("words-dialog").close();
    withReader(() => (finding ? accept(finding, words) : post(kind, words)));
  };
  $("words-dialog").showModal();
}

async function accept({ code, where }, reason) {
  const body = { code, where, reason, by: $("reader").value.trim(), known: shared.state.mark };
  try {
    const answer = await fetch("/accept", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const said = await answer.json();
    if (said.state) take(said.state);
    told.savedAt = answer.ok ? `saved ${new Date().toISOString().slice(11, 19)} UTC: finding closed` : said.error;
  } catch { told.savedAt = "Not saved: volstrat does not answer."; }
  renderSaved();
}

function markShown() {
  const rows = shownRows();
  text($("many-title"), `Mark ${rows.length} lesion${rows.length === 1 ? "" : "s"} shown in the table`);
  $("many-words").replaceChildren(...MARKINGS.map((word) => {
    const one = button("", () => { $("many-dialog").close(); withReader(() => { markRows(rows.map((x) => ({ id: x.id, resectability: word }))); }); });
    one.append(sign(word), word);
    return one;
  }));
  $("many-dialog").showModal();
}

function saveView() {
  const pane = viewer.panes[0], f = pane.frame();
  const view = { plane: pane.plane, index: pane.index(), left: f.left, top: f.top, wide: f.w * f.scale, high: f.h * f.scale, layer: pane.layer ?? viewer.layer, window: viewer.window.map(Math.round), suv: viewer.suv, opacity: viewer.opacity, lesion: shared.chosen };
  withReader(() => post("key_image", JSON.stringify(view)));
}

startTable({ choose, waiting });
startMarks({
  take, choose, reader: () => $("reader").value.trim(),
  changed: (ids) => { renderSome(ids); renderPanel(); renderSaved(); if (told.unreachable) renderBanners(); renderReading(); },
  written: (id, seen, after) => { if (written.id === id && written.seen === seen) written.seen = after; },
});

$("reason").addEventListener("input", () => { clearTimeout(flushReason.soon); flushReason.soon = setTimeout(flushReason, 900); });
$("reason").addEventListener("blur", flushReason);
$("reason").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); e.stopPropagation(); flushReason(); focusRow(shared.chosen); } });
$("called").addEventListener("change", () => mark({ fdg_avidity: $("called").value }));
$("site-word").addEventListener("change", () => mark({ site: $("site-word").value }));
$("belongs").addEventListener("change", () => mark({ belongs_to: $("belongs").value }));
$("panel").addEventListener("submit", (e) => e.preventDefault());
$("undo").addEventListener("click", undo);
$("next").addEventListener("click", () => next(true));
$("mark-shown").addEventListener("click", markShown);
$("complete").addEventListener("click", () => withReader(() => post("complete")));
$("save-view").addEventListener("click", saveView);
$("note-save").addEventListener("click", () => withReader(() => post("note", $("note").value)));
$("advance").checked = settings.advance;
$("advance").addEventListener("change", () => { settings.advance = $("advance").checked; keepSettings(); });
$("fit").addEventListener("click", () => viewer.fit());
$("fit-body").addEventListener("click", () => viewer.fit(true));
$("reset").addEventListener("click", () => { viewer.window = [...Object.values(shared.state.images.windows)[0]]; viewer.suv = shared.state.images.suv_max; viewer.opacity = 0.6; tools(); viewer.draw(); });
$("ruler").addEventListener("click", () => measure());
$("opacity").addEventListener("input", () => { viewer.opacity = Number($("opacity").value); viewer.draw(); });
$("suv").addEventListener("change", () => { const x = Number($("suv").value); if (x > 0) { viewer.suv = x; viewer.draw(); } tools(); });
$("show-lesions").addEventListener("change", () => { viewer.lesions = $("show-lesions").checked; viewer.draw(); });
$("show-avid").addEventListener("change", () => { viewer.avid = $("show-avid").checked; viewer.draw(); });
$("direction").addEventListener("click", () => viewer.turn(viewer.projection.turning ? 1 : 6));
$("projected").addEventListener("click", () => { viewer.projection.of = viewer.projection.of === "pet" ? "lesions" : "pet"; tools(); viewer.draw(); });
for (const one of $("layouts").children) one.addEventListener("click", () => viewer.arrange(one.dataset.layout));
for (const one of $("layers").children) one.addEventListener("click", () => viewer.setLayer(one.dataset.layer));
for (const id of ["help", "words-dialog", "many-dialog"]) $(id).querySelector(".close").addEventListener("click", () => $(id).close());
$("help-open").addEventListener("click", () => $("help").showModal());
$("who-ok").addEventListener("click", () => { const name = $("who").value.trim(); if (name) answered(name); });
$("who").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); const name = $("who").value.trim(); if (name) answered(name); } });
$("who-none").addEventListener("click", () => answered(""));
$("who-dialog").addEventListener("cancel", () => { asking = null; });
$("reader").addEventListener("change", () => kept.set("reader", $("reader").value.trim()));

function measure(on = !viewer.measuring) {
  viewer.measuring = on;
  if (!on) for (const pane of viewer.panes) pane.ruler = null;
  tools();
  viewer.draw();
}

function theme(name) { document.documentElement.dataset.theme = name; }
$("theme").addEventListener("click", () => {
  const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  kept.set("theme", other);
  theme(other);
});
theme(kept.get("theme", matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
$("reader").value = kept.get("reader", "");

// The border between images and table is moved by mouse or arrow keys, and kept.
const split = (share) => { const at = Math.min(Math.max(share, 25), 80); document.querySelector("main").style.setProperty("--split", `${at}%`); $("splitter").setAttribute("aria-valuenow", String(Math.round(at))); kept.set("split", at); };
if (kept.get("split", 0)) split(kept.get("split", 60));
$("splitter").addEventListener("pointerdown", (e) => {
  $("splitter").setPointerCapture(e.pointerId);
  const move = (m) => split((100 * m.clientX) / window.innerWidth);
  $("splitter").addEventListener("pointermove", move);
  $("splitter").addEventListener("pointerup", () => $("splitter").removeEventListener("pointermove", move), { once: true });
});
$("splitter").addEventListener("keydown", (e) => {
  const by = { ArrowLeft: -2, ArrowRight: 2 }[e.key];
  if (by) { e.preventDefault(); split(kept.get("split", 60) + by); }
});

const KEYS = {
  n: (inTable) => step(1, inTable), p: (inTable) => step(-1, inTable), r: () => $("reason").focus(), w: () => nextWindow(),
  y: () => mark({ fdg_avidity: "avid" }), x: () => mark({ fdg_avidity: "not_avid" }), u: () => mark({ fdg_avidity: "" }), g: () => $("belongs").focus(),
  l: () => viewer.arrange({ planes: "2x2", "2x2": "1x4", "1x4": "planes" }[viewer.layout]),
  t: () => { if (viewer.layer === "fused" && viewer.opacity > 0) { viewer.lastOpacity = viewer.opacity; viewer.opacity = 0; } else { viewer.opacity = viewer.lastOpacity || 0.6; viewer.layer = "fused"; } tools(); viewer.draw(); },
  i: () => viewer.setLayer({ fused: "ct", ct: "pet", pet: "fused" }[viewer.layer]), d: () => measure(), b: () => viewer.fit(true), f: () => viewer.fit(),
  k: () => saveView(), a: () => markShown(), "0w": () => $("reset").click(),
};
document.addEventListener("keydown", (e) => {
  const typing = e.target.matches?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea") || document.querySelector("dialog[open]");
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z" && !typing) { e.preventDefault(); undo(); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const inTable = Boolean(e.target.closest?.("#rows-box"));
  const here = inTable || e.target === document.body || Boolean(e.target.closest?.("#panes, #panel, .filters"));
  if (!here) return;
  const number = "12340".indexOf(e.key), window = "5678".indexOf(e.key);
  if (e.key.length === 1 && number >= 0) viewer.settled(() => mark({ resectability: [...MARKINGS, ""][number] }, { advance: true }));
  else if (e.key.length === 1 && window >= 0) $("windows").children[window]?.click();
  else if (e.key === "9") $("reset").click();
  else if (inTable && (e.key === "ArrowDown" || e.key === "ArrowUp")) step(e.key === "ArrowDown" ? 1 : -1, true);
  else if (inTable && (e.key === "PageDown" || e.key === "PageUp")) step(e.key === "PageDown" ? 10 : -10, true);
  else if (e.key === "Enter" && !e.target.closest?.("#panel button, .filters button, .corner button")) next(inTable);
  else if (e.key === "?") $("help").showModal();
  else if (e.key.length === 1 && KEYS[e.key.toLowerCase()]) KEYS[e.key.toLowerCase()](inTable);
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

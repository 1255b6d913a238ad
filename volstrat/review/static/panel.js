// The panel of the chosen lesion: its decision, uptake, place and reason, and what lies next to it.

import { MARKINGS, NOT_TUMOUR, $, button, isLocked, keepSettings, make, ml, row, settings, shared, sign, text } from "./store.js";
import { canUndo, undo, waitingFor } from "./marks.js";
import { mark } from "./deciding.js";
import { focusRow } from "./table.js";

let written = { id: "", reading: 0, text: "", seen: "" }; // what the reason box showed before anybody wrote in it

export function renderPanel() {
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

function reasonTold() { return $("reason").value.split(/\s+/).filter(Boolean).join(" "); }

// Saves what was written on the row as it was when the writing began; a box that was only entered saves nothing.
export function flushReason() {
  clearTimeout(flushReason.soon);
  const words = reasonTold();
  if (written.reading !== shared.state.reading || words === written.text) return;
  written.text = words;
  mark({ reason: words }, { id: written.id, seen: written.seen, late: true }); // late: refused aloud, never lost
}

// A mark of one's own came through: what is being written was written on the row as it is now.
export function rowWritten(id, seen, after) { if (written.id === id && written.seen === seen) written.seen = after; }

$("reason").addEventListener("input", () => { clearTimeout(flushReason.soon); flushReason.soon = setTimeout(flushReason, 900); });
$("reason").addEventListener("blur", flushReason);
$("reason").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); e.stopPropagation(); flushReason(); focusRow(shared.chosen); } });
$("called").addEventListener("change", () => mark({ fdg_avidity: $("called").value }));
$("site-word").addEventListener("change", () => mark({ site: $("site-word").value }));
$("belongs").addEventListener("change", () => mark({ belongs_to: $("belongs").value }));
$("panel").addEventListener("submit", (e) => e.preventDefault());
$("undo").addEventListener("click", undo);

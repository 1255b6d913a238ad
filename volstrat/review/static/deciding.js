// A decision on the chosen lesion, or on all that the table shows; the reader's name is asked before the first.

import { MARKINGS, $, button, isLocked, isOpen, kept, row, shared, sign, text } from "./store.js";
import { markRows, waitingFor } from "./marks.js";
import { countedRows, shownRows } from "./table.js";

let asking = null; // a mark that waits for the reader's name

export const readerName = () => $("reader").value.trim();

// The reader's name is asked once, before the first mark.
export function withReader(act) {
  if (shared.state.reader || readerName() || kept.get("nameless", false)) { act(); return; }
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

// Change some words of a row. `then` is called where that decided a lesion which was open.
export function mark(words, { id = shared.chosen, seen = null, late = false, then = null } = {}) {
  const x = row(id);
  if (!x || (isLocked() && !late)) return;
  const open = isOpen(x) && !waitingFor(id)?.resectability;
  const decides = words.resectability && words.resectability !== "unknown";
  withReader(() => { if (markRows([{ id, seen, ...words }], { late }) && open && decides) then?.(id); });
}

export function markShown() {
  const rows = shownRows();
  text($("many-title"), `Mark ${countedRows(rows)} shown in the table`);
  $("many-words").replaceChildren(...MARKINGS.map((word) => {
    const one = button("", () => { $("many-dialog").close(); withReader(() => { markRows(rows.map((x) => ({ id: x.id, resectability: word }))); }); });
    one.append(sign(word), word);
    return one;
  }));
  $("many-dialog").showModal();
}

$("mark-shown").addEventListener("click", markShown);
$("who-ok").addEventListener("click", () => { const name = $("who").value.trim(); if (name) answered(name); });
$("who").addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); const name = $("who").value.trim(); if (name) answered(name); } });
$("who-none").addEventListener("click", () => answered(""));
$("who-dialog").addEventListener("cancel", () => { asking = null; });
$("reader").addEventListener("change", () => kept.set("reader", readerName()));
$("reader").value = kept.get("reader", "");

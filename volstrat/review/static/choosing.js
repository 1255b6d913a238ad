// Which lesion is chosen, and the way to the next.

import { $, isOpen, keepSettings, row, settings, shared } from "./store.js";
import { waitingFor } from "./marks.js";
import { flushReason, renderPanel } from "./panel.js";
import { focusRow, renderSome, reveal, shownRows } from "./table.js";
import { viewer } from "./viewing.js";

export function fly(id) {
  const x = row(id);
  if (x?.point_mm) viewer.jump(x.point_mm, x.box_mm);
}

export function choose(id, { fly: move = true, focus = false } = {}) {
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

export function step(by, focus) {
  const rows = shownRows(shared.chosen);
  if (!rows.length) return;
  const at = rows.findIndex((x) => x.id === shared.chosen);
  choose(rows[Math.min(Math.max(at + by, 0), rows.length - 1)].id, { focus });
}

// The next that nobody has marked, from the chosen one on.
export function next(focus) {
  const rows = shownRows(shared.chosen), at = rows.findIndex((x) => x.id === shared.chosen);
  const open = [...rows.slice(at + 1), ...rows.slice(0, at)].find((x) => isOpen(x) && !waitingFor(x.id)?.resectability);
  if (open) choose(open.id, { focus });
}

export function firstToMark() { return shownRows().find((x) => isOpen(x) && !waitingFor(x.id)); }

// After a decision, to the next that is open; can be switched off.
export function goOn(id) {
  if (settings.advance && id === shared.chosen) next(Boolean(document.activeElement?.closest?.("#rows-box")));
}

$("next").addEventListener("click", () => next(true));
$("advance").checked = settings.advance;
$("advance").addEventListener("change", () => { settings.advance = $("advance").checked; keepSettings(); });

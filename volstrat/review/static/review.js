// The page: what the program tells is taken over and shown. Texts from files are only ever set as text.

import { $, merge, row, shared, text } from "./store.js";
import { renderBanners, renderReading, renderSaved } from "./banners.js";
import { choose, firstToMark, fly } from "./choosing.js";
import { readerName } from "./deciding.js";
import { forgetUndo, queue, recallUndo, send, startMarks, saving, waiting } from "./marks.js";
import { startNotes } from "./notes.js";
import { flushReason, renderPanel, rowWritten } from "./panel.js";
import { refreshPlans, startPlans } from "./plans.js";
import { renderSome, renderTable, startTable } from "./table.js";
import { renderVerdict } from "./verdict.js";
import { offerImages, renderCursor, renderTools, viewer } from "./viewing.js";
import "./keys.js";
import "./screen.js";

async function poll() {
  let next = null;
  const was = saving.unreachable;
  try {
    const answer = await fetch(`/state?known=${encodeURIComponent(shared.state.mark)}`);
    if (answer.status === 200) next = await answer.json();
    saving.unreachable = answer.status !== 200 && answer.status !== 204;
  } catch {
    saving.unreachable = true;
  }
  try {
    if (next) take(next);
    if (was !== saving.unreachable) { renderBanners(); renderSaved(); }
    if (!saving.unreachable) send();
  } finally { // whatever came of this, the next one is asked
    const { state } = shared;
    setTimeout(poll, saving.unreachable ? 3000 : state.stage || !state.images ? 250 : state.verdict?.following ? 500 : 1000);
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
  viewer.planStyles = shared.state.plan_styles ?? viewer.planStyles;
  viewer.avidColour = shared.state.avid_colour ?? viewer.avidColour;
  if (!shared.state.images) viewer.close();
  else if (fresh) { viewer.open(shared.state.images, shared.state.mark.split("|").slice(0, 1).concat(shared.state.mark.split("|").slice(2, 4)).join("-")); renderTools(); }
  offerImages(again);
  render(changed);
  refreshPlans();
  if (fresh && row(shared.chosen)) fly(shared.chosen);
  if (shared.state.lesions.length && !row(shared.chosen)) choose(firstToMark()?.id ?? shared.state.lesions[0].id);
}

// Of the table only the rows that changed, where only some did.
function render(changed) {
  if (changed) renderSome(changed); else renderTable();
  document.title = `${shared.state.subject}: ${shared.state.verdict?.title ?? "review"}`;
  text($("subject"), shared.state.subject ?? "").title = shared.state.subject ?? "";
  renderVerdict();
  renderBanners();
  renderPanel();
  renderSaved();
  renderReading();
  viewer.draw();
}

viewer.heed({
  picked: (id) => choose(id, { fly: false }),
  painted: (pane) => { if (!performance.getEntriesByName("first-picture").length && pane !== viewer.projection) performance.mark("first-picture"); },
  pointed: renderCursor,
  wordOf: (name) => row(name)?.word ?? "unknown",
});
startPlans(viewer);
startTable({ choose, waiting });
startNotes({ take, saved: renderSaved });
startMarks({
  take, choose, reader: readerName,
  changed: (ids) => { renderSome(ids); renderPanel(); renderSaved(); if (saving.unreachable) renderBanners(); renderReading(); },
  written: rowWritten,
});
window.addEventListener("beforeunload", (e) => { flushReason(); if (queue.length) e.preventDefault(); });
poll();

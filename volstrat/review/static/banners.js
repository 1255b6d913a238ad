// What stands in the way of the reading, what is saved and what is not, and how far it is.

import { $, button, isLocked, isOpen, make, shared, text } from "./store.js";
import { enqueue, forgetUnsaved, lastOfEach, markRows, queue, saving, unsaved, weight } from "./marks.js";
import { askWords, reload } from "./notes.js";

export function renderBanners() {
  const { state } = shared, lines = [];
  const add = (words, bad = false, ...actions) => {
    const line = make("p", `${words} `, bad ? "bad" : "");
    if (bad) line.setAttribute("role", "alert");
    for (const [title, run] of actions) line.append(button(title, run), " ");
    lines.push(line);
  };
  const again = ["Read the case again", reload];
  if (saving.unreachable) {
    const waits = lastOfEach().map((x) => `${x.lesion_id} ${x.resectability || "no mark"}`);
    const kept = saving.kept < waits.length ? `The first ${saving.kept} of these are` : "They are";
    add(`volstrat does not answer: its program has ended, or the connection is lost. ${waits.length ? `Not saved: ${waits.join(", ")}. ${kept} kept here, and offered when the case is opened again.` : "All marks are saved."}`, true);
  }
  if (state.error) add(`${state.error.message} ${state.error.hint}`.trim(), true, again);
  if (state.changed_input) add(`${state.changed_input} changed on disk since it was read. Marks made so far are saved; read the case again to go on.`, true, again);
  if (state.problem) add(state.problem, true);
  for (const s of state.strangers) {
    add(s.message, true, ...(state.read_only ? [] : [[`Remove the row of ${s.id}`, () => enqueue([{ lesion_id: s.id, seen: s.token }])]]));
  }
  const lost = state.lesions.length && !saving.unreachable && !isLocked() && !queue.length ? unsaved() : [];
  if (lost.length) {
    const same = lost.filter((x) => weight(x.id) === x.ml), others = lost.filter((x) => !same.includes(x)).map((x) => x.id);
    const anew = others.length ? ` The masks are others now: look at ${others.join(", ")}, and mark anew.` : "";
    add(`${lost.length} mark${lost.length > 1 ? "s were" : " was"} not saved when the program ended: ${lost.map((x) => `${x.id} ${x.resectability || "no mark"}`).join(", ")}.${anew}`, true,
      ...(same.length ? [["Save them now", () => { forgetUnsaved(); markRows(same.map(({ ml, ...words }) => words)); }]] : []),
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

export function renderSaved() {
  const node = $("saved"), held = queue.reduce((n, m) => n + m.marks.length, 0);
  node.classList.toggle("bad", held > 0 && (saving.unreachable || Boolean(queue[0].failed)));
  if (held) text(node, queue[0].failed || saving.unreachable ? `NOT SAVED: ${held} mark${held > 1 ? "s" : ""}` : "saving ...");
  else text(node, saving.savedAt);
  text($("table-name"), [shared.state.table ? `Marks: ${shared.state.table}.` : "", ...(shared.state.notices ?? [])].join(" "));
}

// How far the reading is: so many of all are marked, by a reader or as drawn.
export function renderReading() {
  const { state } = shared, all = state.lesions.filter((x) => x.word !== "dismissed"), open = all.filter(isOpen).length;
  text($("progress"), state.lesions.length ? `${all.length - open} of ${all.length} marked` : "");
  $("next").disabled = !open;
  $("complete").hidden = Boolean(state.signed) || state.read_only;
  $("complete").disabled = open > 0 || isLocked() || !state.lesions.length;
  $("mark-shown").disabled = isLocked();
  if (document.activeElement !== $("note") && $("note").value !== state.note) $("note").value = state.note ?? "";
  $("note").disabled = $("note-save").disabled = state.read_only;
}

// Marks on their way to the table: queued, sent one after another, undone, kept when the program is gone.

import { $, button, isLocked, make, post, row, shared, text } from "./store.js";

const WORDS = ["resectability", "fdg_avidity", "reason"];
const MORE = ["site", "belongs_to"]; // sent only where they change: the table keeps what the page does not say
export const queue = [];
let undoable = [];
const left = new Map(); // by lesion: the row's token as this page left it
let sending = false;
let app = {}; // take, changed, reader
export const saving = { unreachable: false, savedAt: "", kept: 0 };

// What the table says of a row, in the words of a mark.
const tableWords = (x) => ({ resectability: x.marked, fdg_avidity: x.called, reason: x.reason, site: x.site_source === "table" ? x.site_word : "", belongs_to: x.belongs_to });

export const waiting = () => new Set(queue.flatMap((m) => m.marks.map((x) => x.lesion_id)));
export const canUndo = () => undoable.length > 0 && !isLocked();
export function waitingFor(id) {
  for (const m of [...queue].reverse()) { const x = m.marks.find((one) => one.lesion_id === id); if (x) return x; }
  return null;
}

// What can be undone outlives a reload of the page, not another reading of the case.
const place = () => `undo ${shared.state.subject} ${shared.state.table}`;
function keepUndo() {
  try { sessionStorage.setItem(place(), JSON.stringify({ reading: shared.state.reading, undoable, left: [...left] })); } catch { /* full: the page's own memory holds it */ }
}
export function recallUndo() {
  try {
    const was = JSON.parse(sessionStorage.getItem(place()) ?? "null");
    if (was?.reading !== shared.state.reading) return;
    undoable = was.undoable;
    for (const [id, token] of was.left) left.set(id, token);
  } catch { undoable = []; }
}
export function forgetUndo() { undoable = []; left.clear(); }

// Marks change some words of rows; the others stay as they are shown. Each is made on the row as it was seen: that of
// `seen`, else of a mark that waits, else the one in the table. Several are saved, and undone, as one.
export function markRows(changes, { remember = true, late = false } = {}) {
  if (isLocked() && !late) return false;
  const marks = [], undoes = [];
  for (const { id, seen = null, ...words } of changes) {
    const x = row(id);
    if (!x) continue;
    const held = waitingFor(id);
    const before = { ...tableWords(x), ...held };
    const keys = [...WORDS, ...MORE.filter((key) => words[key] !== undefined || held?.[key] !== undefined)];
    const after = Object.fromEntries(keys.map((key) => [key, words[key] ?? before[key]]));
    if (keys.every((key) => before[key] === after[key]) && !x.misfit) continue;
    undoes.push({ id, ...Object.fromEntries(keys.map((key) => [key, before[key]])) });
    marks.push({ lesion_id: id, ...after, seen: held?.seen ?? seen ?? x.token });
  }
  if (!marks.length) return false;
  if (remember) { undoable.push(undoes); keepUndo(); }
  enqueue(marks, remember ? undoes : null);
  return true;
}

export function enqueue(marks, undoes = null) {
  const rest = { reader: app.reader(), reading: shared.state.reading };
  queue.push({ marks: marks.map((m) => ({ resectability: "", fdg_avidity: "", reason: "", ...rest, ...m })), undoes, pressed: performance.now() });
  app.changed(marks.map((m) => m.lesion_id));
  send();
}

export async function send() {
  if (sending || !queue.length || queue[0].failed) return; // a refused mark waits for a decision
  sending = true;
  try {
    while (queue.length) {
      const one = queue[0];
      const body = one.marks.length === 1 ? one.marks[0] : { marks: one.marks };
      let answer, said;
      try {
        answer = await post(`/mark?known=${encodeURIComponent(shared.state.mark)}`, body);
        said = await answer.json();
      } catch {
        saving.unreachable = true;
        keepUnsaved();
        app.changed([]);
        break;
      }
      if (answer.status === 409 && one.marks.length === 1) {
        queue.shift();
        app.take(said.state);
        await settle(one, said);
        continue;
      }
      if (!answer.ok) {
        one.failed = said.error ?? "not saved";
        if (said.state) app.take(said.state);
        app.changed([]);
        refused(one, said.error ?? "The mark was not saved.");
        break;
      }
      queue.shift();
      done(one, said.state);
    }
  } finally {
    sending = false;
    app.changed([]);
  }
}

function done(one, state) {
  const rows = new Map((state.lesions ?? state.changed ?? []).map((x) => [x.id, x.token]));
  for (const m of one.marks) {
    const after = rows.get(m.lesion_id) ?? (row(m.lesion_id)?.token ?? "");
    // What waits was made on the row as it was before this mark.
    for (const later of queue) for (const x of later.marks) if (x.lesion_id === m.lesion_id && x.seen === m.seen) x.seen = after;
    app.written(m.lesion_id, m.seen, after);
    left.set(m.lesion_id, after);
  }
  const [first] = one.marks;
  const what = one.marks.length > 1 ? `${one.marks.length} lesions ${first.resectability || "no mark"}` : `${first.lesion_id} ${first.resectability || "no mark"}`;
  saving.savedAt = `saved ${new Date().toISOString().slice(11, 19)} UTC: ${what}`;
  keepUndo();
  keepUnsaved();
  app.take(state);
  document.body.dataset.markMs = String(Math.round(performance.now() - one.pressed));
}

// A mark that cannot be saved stays in sight: try again, or drop it.
function refused(one, why) {
  const who = one.marks.length > 1 ? `${one.marks.length} marks are` : `${one.marks[0].lesion_id} is`;
  const line = make("p", `${who} not saved: ${why} `, "bad");
  line.setAttribute("role", "alert");
  for (const [title, stays] of [["Try again", true], ["Drop", false]]) {
    line.append(button(stays ? title : "Drop this mark", () => {
      line.remove();
      if (!stays) drop(one);
      else delete one.failed;
      app.changed([]);
      send();
    }), " ");
  }
  $("banners").after(line);
}

// With a mark goes what was made on top of it; what never came to be cannot be undone.
function drop(one) {
  const made = (m) => m === one || m.marks.some((x) => one.marks.some((y) => y.lesion_id === x.lesion_id && y.seen === x.seen));
  for (const gone of [one, ...queue.filter((m) => m !== one && made(m))]) {
    if (queue.includes(gone)) queue.splice(queue.indexOf(gone), 1);
    if (undoable.includes(gone.undoes)) undoable.splice(undoable.indexOf(gone.undoes), 1);
  }
  keepUndo();
  keepUnsaved();
}

function settle(one, said) {
  const [mine] = one.marks;
  const last = waitingFor(mine.lesion_id) ?? mine;
  const words = [last.resectability || "no mark", last.fdg_avidity.replace("_", " "), last.reason && `"${last.reason}"`];
  text($("conflict-text"), `${said.error} Yours: ${words.filter(Boolean).join(", ")}.`);
  $("conflict").showModal();
  return new Promise((finish) => {
    const end = (over) => {
      $("conflict").close();
      $("keep").onclick = $("replace").onclick = $("conflict").oncancel = null;
      if (over) {
        for (const later of queue) for (const x of later.marks) if (x.lesion_id === mine.lesion_id && x.seen === mine.seen) x.seen = said.conflict.token;
        queue.unshift({ ...one, marks: [{ ...mine, seen: said.conflict.token }] });
        const theirs = row(mine.lesion_id); // what it replaces is what undo puts back
        if (theirs && one.undoes) for (const [key, word] of Object.entries(tableWords(theirs))) if (key in one.undoes[0]) one.undoes[0][key] = word;
      } else {
        drop(one);
      }
      app.changed([mine.lesion_id]);
      finish();
    };
    $("keep").onclick = () => end(false);
    $("replace").onclick = () => end(true);
    $("conflict").oncancel = () => end(false);
  });
}

export function undo() {
  if (!canUndo()) return;
  const last = undoable.pop();
  keepUndo();
  markRows(last.map((x) => ({ ...x, seen: left.get(x.id) })), { remember: false });
  app.choose(last[0].id);
}

// Marks that the program did not take any more are kept in a cookie, which the next link finds whatever its port.
const cookie = () => `volstrat_unsaved_${[...`${shared.state.subject} ${shared.state.table}`].reduce((h, c) => (h * 31 + c.codePointAt(0)) >>> 0, 7)}`;
// What tells a lesion from another that has its name in another reading.
export const weight = (id) => Number(row(id)?.volume_ml.toPrecision(6));
export const lastOfEach = () => [...new Map(queue.flatMap((m) => m.marks.map((x) => [x.lesion_id, x]))).values()]; // it says all of those before
function keepUnsaved() {
  const marks = saving.unreachable ? lastOfEach().map((x) => [x.lesion_id, weight(x.lesion_id), ...[...WORDS, ...MORE].map((key) => x[key])]) : [];
  let words = encodeURIComponent(JSON.stringify(marks));
  while (words.length > 3800) { marks.pop(); words = encodeURIComponent(JSON.stringify(marks)); }
  saving.kept = marks.length;
  document.cookie = `${cookie()}=${marks.length ? words : ""}; path=/; SameSite=Strict; max-age=${marks.length ? 604800 : 0}`;
}
export function unsaved() {
  const found = document.cookie.split("; ").find((x) => x.startsWith(`${cookie()}=`))?.slice(cookie().length + 1);
  try {
    return (found ? JSON.parse(decodeURIComponent(found)) : []).map(([id, ml, ...words]) => ({ id, ml, ...Object.fromEntries([...WORDS, ...MORE].map((key, n) => [key, words[n] ?? undefined])) }));
  } catch { return []; }
}
export function forgetUnsaved() { document.cookie = `${cookie()}=; path=/; SameSite=Strict; max-age=0`; }

export function startMarks(handlers) { app = handlers; }

// What is done to the reading as a whole: signed, opened again, noted; a finding closed; the case read again.

import { $, post, shared, text } from "./store.js";
import { saving } from "./marks.js";
import { readerName, withReader } from "./deciding.js";
import { viewShown } from "./viewing.js";

let app = {}; // take, saved

export function reload() { fetch("/reload", { method: "POST" }).then(() => { shared.state.mark = ""; }).catch(() => {}); }

const SAVED = { complete: "reading complete", reopened: "opened again", note: "note", key_image: "key image", accept: "finding closed" };

async function tell(path, kind, words) {
  const body = { ...words, by: readerName(), known: shared.state.mark };
  try {
    const answer = await post(path, body);
    const said = await answer.json();
    if (said.state) app.take(said.state);
    saving.savedAt = answer.ok ? `saved ${new Date().toISOString().slice(11, 19)} UTC: ${SAVED[kind]}` : said.error;
  } catch { saving.savedAt = "Not saved: volstrat does not answer."; }
  app.saved();
}
const note = (kind, words = "") => tell("/note", kind, { kind, text: words });
const accept = ({ code, where }, reason) => tell("/accept", "accept", { code, where, reason });

export function askWords(kind, finding = null) {
  text($("words-title"), kind === "reopened" ? "Open the reading again, because" : "Close this finding, because");
  $("words").value = "";
  $("words-ok").onclick = () => {
    const words = $("words").value.trim();
    if (!words) return;
    $("words-dialog").close();
    withReader(() => (finding ? accept(finding, words) : note(kind, words)));
  };
  $("words-dialog").showModal();
}

export function saveView() { withReader(() => note("key_image", viewShown())); }

export function startNotes(handlers) { app = handlers; }

$("complete").addEventListener("click", () => withReader(() => note("complete")));
$("save-view").addEventListener("click", saveView);
$("note-save").addEventListener("click", () => withReader(() => note("note", $("note").value)));

// The screen: light or dark, the border between images and table, and what closes a dialog.

import { $, kept } from "./store.js";

function theme(name) { document.documentElement.dataset.theme = name; }
$("theme").addEventListener("click", () => {
  const other = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  kept.set("theme", other);
  theme(other);
});
theme(kept.get("theme", matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));

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

for (const id of ["help", "words-dialog", "many-dialog"]) $(id).querySelector(".close").addEventListener("click", () => $(id).close());
$("help-open").addEventListener("click", () => $("help").showModal());

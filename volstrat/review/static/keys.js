// The keyboard: keys work in the table and the images, not while one writes.

import { MARKINGS, $ } from "./store.js";
import { undo } from "./marks.js";
import { mark, markShown } from "./deciding.js";
import { goOn, next, step } from "./choosing.js";
import { saveView } from "./notes.js";
import { fuse, measure, nextCt, nextPet, nextWindow, togglePet, viewer } from "./viewing.js";

const KEYS = {
  n: (inTable) => step(1, inTable), p: (inTable) => step(-1, inTable), r: () => $("reason").focus(), w: () => nextWindow(),
  y: () => mark({ fdg_avidity: "avid" }), x: () => mark({ fdg_avidity: "not_avid" }), u: () => mark({ fdg_avidity: "" }), g: () => $("belongs").focus(),
  l: () => viewer.arrange({ planes: "2x2", "2x2": "1x4", "1x4": "planes" }[viewer.layout]),
  t: () => togglePet(),
  i: () => viewer.setLayer({ fused: "ct", ct: "pet", pet: "fused" }[viewer.layer]), ",": () => fuse(-0.1), ".": () => fuse(0.1), c: () => nextCt(), o: () => nextPet(), d: () => measure(), b: () => viewer.fit(true), f: () => viewer.fit(),
  k: () => saveView(), a: () => markShown(),
};
document.addEventListener("keydown", (e) => {
  const typing = e.target.matches?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea") || document.querySelector("dialog[open]");
  if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z" && !typing) { e.preventDefault(); undo(); return; }
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const inTable = Boolean(e.target.closest?.("#rows-box"));
  const here = inTable || e.target === document.body || Boolean(e.target.closest?.("#panes, #panel, .filters"));
  if (!here) return;
  const number = "12340".indexOf(e.key), window = "5678".indexOf(e.key);
  if (e.key.length === 1 && number >= 0) viewer.settled(() => mark({ resectability: [...MARKINGS, ""][number] }, { then: goOn }));
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

// How images are shown: the toolbar over them, what lies under the cursor, the ruler, a view kept for the report.

import { $, button, make, shared, text } from "./store.js";
import { Viewer } from "./panes.js";

export const viewer = new Viewer();

let choices = { cts: [], pets: [] }; // names of images that can be shown; the case's own are the first
let offered = "", asked = 0;

// Say what can be shown in place of the case's own images, once they are read.
export async function offerImages(again) {
  const { state } = shared, now = `${state.reading}`;
  if (again && (viewer.ct || viewer.pet)) viewer.place(0, 0, state.images, {});
  if (state.stage || !state.images || offered === now) return;
  offered = now;
  await showImages(0, 0);
}

async function showImages(ct, pet) {
  text($("shown"), ct || pet ? "Reading ..." : "");
  const mine = asked += 1;
  let told;
  try {
    const answer = await fetch(`/images?${new URLSearchParams({ ct, pet })}`);
    told = await answer.json();
  } catch { told = { error: "volstrat does not answer." }; }
  if (mine !== asked) return; // another was asked for since, or the case read again
  if (told.error) { text($("shown"), told.error); renderChoices(); return; }
  choices = { cts: told.cts, pets: told.pets };
  $("images-box").hidden = !told.lines.length;
  $("images-told").replaceChildren(...told.lines.flatMap(([name, words]) => [make("dt", name), make("dd", words)]));
  if (ct !== viewer.ct || pet !== viewer.pet) { viewer.place(ct, pet, shared.state.images, told); renderTools(); }
  const beside = pet ? `PET shown: ${choices.pets[pet]}; it does not count.` : "";
  text($("shown"), [ct ? `CT shown: ${choices.cts[ct]}.` : "", beside, ...told.notices].filter(Boolean).join(" "));
  renderChoices();
}

function renderChoices() {
  for (const [id, names, at] of [["which-ct", choices.cts, viewer.ct], ["which-pet", choices.pets, viewer.pet]]) {
    const box = $(id);
    box.parentElement.hidden = names.length < 2;
    if ([...box.options].map((one) => one.text).join("\n") !== names.join("\n")) box.replaceChildren(...names.map((name, n) => new Option(name, String(n))));
    box.value = String(at);
  }
}

export function nextCt() { if (choices.cts.length > 1) showImages((viewer.ct + 1) % choices.cts.length, viewer.pet); }
export function nextPet() { if (choices.pets.length > 1) showImages(viewer.ct, (viewer.pet + 1) % choices.pets.length); }

export function renderCursor(at) {
  if (!at) { text($("cursor"), ""); return; }
  const pet = viewer.pet ? `${choices.pets[viewer.pet]} ` : "", ct = viewer.ct ? ` (${choices.cts[viewer.ct]})` : "";
  const parts = [at.hu === null ? "" : `${Math.round(at.hu)} HU${ct}`, at.suv === null ? "" : `${pet}${viewer.images?.unit || "PET"} ${at.suv.toFixed(2)}`, at.lesion, `x ${at.point[0].toFixed(1)}, y ${at.point[1].toFixed(1)}, z ${at.point[2].toFixed(1)} mm`];
  text($("cursor"), parts.filter(Boolean).join("  \u00b7  "));
}

export function renderTools() {
  const { images } = viewer, box = $("windows");
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

// What is shown now, as the report draws it again.
export function viewShown() {
  const pane = viewer.panes[0], f = pane.frame();
  return JSON.stringify({ plane: pane.plane, index: pane.index(), left: f.left, top: f.top, wide: f.w * f.scale, high: f.h * f.scale, layer: pane.layer ?? viewer.layer, window: viewer.window.map(Math.round), suv: viewer.suv, opacity: viewer.opacity, lesion: shared.chosen, ...(viewer.ct ? { ct: choices.cts[viewer.ct] } : {}), ...(viewer.pet ? { pet: choices.pets[viewer.pet] } : {}) });
}

export function measure(on = !viewer.measuring) {
  viewer.measuring = on;
  if (!on) for (const pane of viewer.panes) pane.ruler = null;
  tools();
  viewer.draw();
}

export function togglePet() {
  const on = viewer.layer === "fused" && viewer.opacity > 0;
  if (on) viewer.lastOpacity = viewer.opacity;
  viewer.opacity = on ? 0 : viewer.lastOpacity || 0.6;
  viewer.layer = "fused";
  tools();
  viewer.draw();
}

export function fuse(by) {
  viewer.layer = "fused";
  viewer.opacity = Math.min(1, Math.max(0, Math.round(10 * (viewer.opacity + by)) / 10));
  tools();
  viewer.draw();
}

export function nextWindow() {
  const buttons = [...$("windows").children];
  const at = buttons.findIndex((b) => b.getAttribute("aria-pressed") === "true");
  if (buttons.length) buttons[(at + 1) % buttons.length].click();
}

$("fit").addEventListener("click", () => viewer.fit());
$("fit-body").addEventListener("click", () => viewer.fit(true));
$("reset").addEventListener("click", () => { viewer.window = [...Object.values(shared.state.images.windows)[0]]; viewer.suv = viewer.images.suv_max; viewer.opacity = 0.6; tools(); viewer.draw(); });
$("which-ct").addEventListener("change", () => showImages(Number($("which-ct").value), viewer.pet));
$("which-pet").addEventListener("change", () => showImages(viewer.ct, Number($("which-pet").value)));
$("ruler").addEventListener("click", () => measure());
$("opacity").addEventListener("input", () => { viewer.opacity = Number($("opacity").value); viewer.draw(); });
$("suv").addEventListener("change", () => { const x = Number($("suv").value); if (x > 0) { viewer.suv = x; viewer.draw(); } tools(); });
$("show-lesions").addEventListener("change", () => { viewer.lesions = $("show-lesions").checked; viewer.draw(); });
$("show-avid").addEventListener("change", () => { viewer.avid = $("show-avid").checked; viewer.draw(); });
$("direction").addEventListener("click", () => viewer.turn(viewer.projection.turning ? 1 : 6));
$("projected").addEventListener("click", () => { viewer.projection.of = viewer.projection.of === "pet" ? "lesions" : "pet"; tools(); viewer.draw(); });
for (const one of $("layouts").children) one.addEventListener("click", () => viewer.arrange(one.dataset.layout));
for (const one of $("layers").children) one.addEventListener("click", () => viewer.setLayer(one.dataset.layer));

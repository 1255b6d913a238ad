// What the parts of the page share: the state as last told, and small helpers. Texts from files are only ever set as text.

export const $ = (id) => document.getElementById(id);
export const MARKINGS = ["resectable", "ablatable", "unresectable", "unknown"];
export const NOT_TUMOUR = "not_tumour"; // a lesion that is none; of a region that is said by its uptake
export const shared = {
  state: { lesions: [], signs: {}, styles: {}, reading: 0, version: -1, mark: "", stage: "", verdict: null, images: null },
  byId: new Map(),
  chosen: "",
};
export const row = (id) => shared.byId.get(id);
export const isLocked = () => {
  const s = shared.state;
  return s.read_only || Boolean(s.changed_input) || Boolean(s.error) || Boolean(s.signed);
};
export const isOpen = (x) => x.word === "unknown";

export function text(node, told) { if (node.textContent !== told) node.textContent = told; return node; }
export function make(kind, told = "", className = "") {
  const node = document.createElement(kind);
  if (told) node.textContent = told;
  if (className) node.className = className;
  return node;
}
export function button(told, run, className = "") {
  const node = make("button", told, className);
  node.type = "button";
  node.addEventListener("click", run);
  return node;
}
// Drawings come from our own server, which writes only numbers and names it escaped; parsed as XML, never as HTML.
export function drawing(svg) { return document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true); }
const drawn = new Map();
export function sign(word) {
  if (!shared.state.signs[word]) return document.createTextNode("");
  if (!drawn.has(word)) drawn.set(word, drawing(shared.state.signs[word]));
  return drawn.get(word).cloneNode(true);
}
export const ml = (x) => (x >= 100 ? x.toFixed(1) : x >= 0.1 ? x.toFixed(2) : x.toPrecision(2));

// Take over what the server tells: everything, or of lesions only those that changed.
export function merge(next) {
  const before = shared.state;
  for (const key of ["signs", "styles", "plan_styles", "avid_colour", "images"]) if (next[key] === undefined) next[key] = before[key];
  if (next.lesions === undefined) {
    next.lesions = before.lesions;
    const at = new Map(next.lesions.map((x, n) => [x.id, n]));
    for (const x of next.changed ?? []) next.lesions[at.get(x.id)] = x;
  }
  shared.state = next;
  shared.byId = new Map(next.lesions.map((x) => [x.id, x]));
}

export const post = (url, body) => fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// What one person keeps in the browser.
export const kept = {
  get(key, otherwise) { try { return JSON.parse(localStorage.getItem(key)) ?? otherwise; } catch { return otherwise; } },
  set(key, value) { localStorage.setItem(key, JSON.stringify(value)); },
};
export const settings = kept.get("settings", { advance: true, chips: ["vein", "remnant too small", "too many", "inflow"] });
export const keepSettings = () => kept.set("settings", settings);

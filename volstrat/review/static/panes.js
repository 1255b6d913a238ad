// Panes: planes of the images and views of the PET. The server draws the images; outlines, cross and ruler are
// drawn here, on top. Mouse and keys become points in the patient (LPS, mm).

import { Outlines, Pictures, drawOutlines } from "./pictures.js";

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (a, b, t) => [a[0] + b[0] * t, a[1] + b[1] * t, a[2] + b[2] * t];
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const AHEAD = 3;
const MOST_PIXELS = 4096; // a side, as the server draws
const PLANES = ["axial", "coronal", "sagittal"];
const LAYERS = { fused: "PET on CT", ct: "CT", pet: "PET" };
const HOVER_MS = 60;

class Pane {
  constructor(viewer, canvas, plane) {
    Object.assign(this, { viewer, canvas, plane, layer: null, zoom: 1, middle: null, wanted: "", loading: false, ruler: null });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    canvas.addEventListener("pointerdown", (e) => this.press(e));
    canvas.addEventListener("pointermove", (e) => { if (!e.buttons) this.hover(e); });
    canvas.addEventListener("pointerleave", () => this.viewer.hovered(null));
    canvas.addEventListener("dblclick", () => viewer.enlarge(this));
    canvas.addEventListener("keydown", (e) => this.key(e));
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  }
  get geometry() { return this.viewer.images.planes[this.plane]; }
  get box() { return [0, 0, ...this.geometry.size_mm]; }
  size() {
    const most = MOST_PIXELS / Math.max(1, this.canvas.clientWidth, this.canvas.clientHeight);
    const ratio = Math.min(window.devicePixelRatio || 1, most);
    return [Math.max(1, Math.round(this.canvas.clientWidth * ratio)), Math.max(1, Math.round(this.canvas.clientHeight * ratio))];
  }
  // The part of the plane in view: left, top and mm per pixel.
  frame() {
    const [w, h] = this.size();
    const [l, t, r, b] = this.box;
    const scale = Math.max((r - l) / w, (b - t) / h) / this.zoom;
    const [u, v] = this.middle ?? [(l + r) / 2, (t + b) / 2];
    return { w, h, scale, left: u - (scale * w) / 2, top: v - (scale * h) / 2 };
  }
  index() {
    const g = this.geometry;
    return clamp(Math.round(dot(minus(this.viewer.point, g.corner_mm), g.through) / g.step_mm), 0, g.count - 1);
  }
  url(index) {
    const f = this.frame();
    const q = new URLSearchParams({
      plane: this.plane, index, w: f.w, h: f.h, left: f.left.toFixed(3), top: f.top.toFixed(3), scale: f.scale.toFixed(6),
      ...this.viewer.look(this.layer),
    });
    return `/slice.png?${q}`;
  }
  shapes() { return this.viewer.outlines.get(`/outlines?${new URLSearchParams({ plane: this.plane, index: this.index(), read: this.viewer.drawn })}`); }
  cross() {
    const g = this.geometry, d = minus(this.viewer.point, g.corner_mm);
    return [dot(d, g.right), dot(d, g.down)];
  }
  draw() {
    if (!this.viewer.images || !this.canvas.clientWidth) return;
    this.wanted = this.canvas.dataset.wanted = this.url(this.index());
    const kept = this.viewer.pictures.get(this.wanted);
    if (kept) this.paint(kept, this.wanted);
    else this.fetch();
  }
  // One picture under way for each pane: of those asked for meanwhile only the last counts.
  fetch() {
    if (this.loading) return;
    this.loading = true;
    const url = this.wanted;
    this.viewer.pictures.load(url).then((bitmap) => this.paint(bitmap, url)).catch(() => {}).finally(() => {
      this.loading = false;
      if (this.wanted !== url && !this.viewer.pictures.get(this.wanted)) this.fetch();
      else if (this.wanted !== url) this.paint(this.viewer.pictures.get(this.wanted), this.wanted);
    });
  }
  paint(bitmap, url) {
    const f = this.frame();
    if (this.canvas.width !== f.w || this.canvas.height !== f.h) { this.canvas.width = f.w; this.canvas.height = f.h; }
    this.context.drawImage(bitmap, 0, 0, f.w, f.h);
    const shapes = this.shapes();
    if (shapes) drawOutlines(this.context, shapes, f, this.viewer.outlineLook(this));
    this.drawCross(f);
    if (this.ruler) this.drawRuler(f);
    this.canvas.dataset.shown = url;
    this.canvas.dataset.outlined = String(Boolean(shapes));
    this.canvas.dataset.painted = String(Number(this.canvas.dataset.painted ?? 0) + 1);
    this.viewer.painted(this);
  }
  drawCross(f) {
    const [u, v] = this.cross(), x = (u - f.left) / f.scale, y = (v - f.top) / f.scale;
    const gap = 14 * (window.devicePixelRatio || 1);
    this.context.lineWidth = 1;
    for (const [colour, shift] of [["rgb(0 0 0 / .6)", 1], ["rgb(0 220 255 / .75)", 0]]) {
      this.context.strokeStyle = colour;
      this.context.beginPath();
      for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, f.w, y], [x, 0, x, y - gap], [x, y + gap, x, f.h]]) {
        this.context.moveTo(Math.round(x0) + shift + 0.5, Math.round(y0) + shift + 0.5);
        this.context.lineTo(Math.round(x1) + shift + 0.5, Math.round(y1) + shift + 0.5);
      }
      this.context.stroke();
    }
  }
  drawRuler(f) {
    const [a, b] = this.ruler.map(([u, v]) => [(u - f.left) / f.scale, (v - f.top) / f.scale]);
    const told = `${this.rulerLength().toFixed(1)} mm`;
    for (const [colour, width] of [["#000", 4], ["#ffe066", 2]]) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = width;
      this.context.beginPath();
      this.context.moveTo(...a);
      this.context.lineTo(...b);
      this.context.stroke();
    }
    this.context.font = "bold 14px system-ui, sans-serif";
    this.context.lineWidth = 4;
    this.context.strokeStyle = "#000";
    this.context.fillStyle = "#ffe066";
    this.context.strokeText(told, b[0] + 6, b[1] - 6);
    this.context.fillText(told, b[0] + 6, b[1] - 6);
  }
  rulerLength() { const [a, b] = this.ruler; return Math.hypot(a[0] - b[0], a[1] - b[1]); }
  neighbours() {
    const at = this.index(), urls = [], way = this.viewer.way || 1;
    for (let n = 1; n <= AHEAD; n += 1) { // in the direction of the last turn of the wheel
      const i = at + way * n;
      if (i >= 0 && i < this.geometry.count) urls.push(this.url(i));
    }
    return urls;
  }
  position(e) {
    const f = this.frame(), r = this.canvas.getBoundingClientRect();
    return [f.left + (e.clientX - r.left) * (f.w / r.width) * f.scale, f.top + (e.clientY - r.top) * (f.h / r.height) * f.scale];
  }
  at([u, v]) {
    const g = this.geometry, base = along(g.corner_mm, g.through, this.index() * g.step_mm);
    return along(along(base, g.right, u), g.down, v);
  }
  hover(e) { if (this.viewer.images && !this.drawing) this.viewer.hovered(this.at(this.position(e)), this.plane); }
  scroll(steps) {
    const g = this.geometry, next = clamp(this.index() + steps, 0, g.count - 1);
    this.viewer.way = Math.sign(steps);
    this.viewer.go(along(this.viewer.point, g.through, (next - this.index()) * g.step_mm), { scrolled: true });
  }
  // Down moves to the feet, to the back, to the left.
  get downward() { return this.plane === "axial" ? -1 : 1; }
  wheel(e) {
    e.preventDefault();
    if (e.ctrlKey) { this.zoomTo(this.zoom * Math.exp(-e.deltaY / 300), this.position(e)); return; }
    this.turned = (this.turned ?? 0) + e.deltaY * (e.deltaMode === 1 ? 33 : 1);
    const steps = Math.trunc(this.turned / 90);
    if (steps) { this.turned = 0; this.scroll(Math.sign(steps) * this.downward * Math.min(Math.abs(steps), 5)); }
  }
  zoomTo(zoom, about) {
    const before = this.frame();
    const [u, v] = about ?? [before.left + before.scale * before.w / 2, before.top + before.scale * before.h / 2];
    const x = (u - before.left) / before.scale, y = (v - before.top) / before.scale;
    this.zoom = clamp(zoom, 0.5, 60);
    const after = this.frame();
    this.middle = [u - x * after.scale + after.scale * after.w / 2, v - y * after.scale + after.scale * after.h / 2];
    this.viewer.together(this);
  }
  // Show a box of the plane (mm) so that it fills a share of the pane.
  show([l, t, r, b], share = 1) {
    const [w, h] = this.size(), whole = this.box;
    const fit = Math.max((whole[2] - whole[0]) / w, (whole[3] - whole[1]) / h);
    const scale = Math.max((r - l) / w, (b - t) / h) / share;
    this.zoom = clamp(fit / scale, 0.5, 60);
    this.middle = [(l + r) / 2, (t + b) / 2];
  }
  boxOf([low, high]) {
    const g = this.geometry, us = [], vs = [];
    for (const x of [low[0], high[0]]) for (const y of [low[1], high[1]]) for (const z of [low[2], high[2]]) {
      const d = minus([x, y, z], g.corner_mm);
      us.push(dot(d, g.right));
      vs.push(dot(d, g.down));
    }
    return [Math.min(...us), Math.min(...vs), Math.max(...us), Math.max(...vs)];
  }
  press(e) {
    this.canvas.focus();
    this.canvas.setPointerCapture(e.pointerId);
    const start = [e.clientX, e.clientY], pan = e.button === 1 || e.shiftKey, measuring = this.viewer.measuring;
    this.drawing = measuring; // what lies under the cursor does not cover what the ruler says
    if (measuring) { this.viewer.hovered(null); this.ruler = [this.position(e), this.position(e)]; }
    let last = start, moved = false;
    const move = (m) => {
      const step = [m.clientX - last[0], m.clientY - last[1]];
      moved ||= Math.hypot(m.clientX - start[0], m.clientY - start[1]) > 4;
      if (!moved) return;
      last = [m.clientX, m.clientY];
      if (measuring) { this.ruler[1] = this.position(m); this.draw(); this.viewer.measured?.(this.rulerLength()); }
      else if (pan) this.pan(step);
      else this.drag(step);
    };
    const end = (m) => {
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", end);
      this.canvas.removeEventListener("pointercancel", end);
      this.drawing = false;
      if (moved || m.type !== "pointerup") return;
      if (measuring) { this.ruler = null; this.draw(); } else this.click(this.position(m));
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
  }
  pan(step) {
    const f = this.frame(), ratio = f.w / this.canvas.clientWidth;
    this.middle = [f.left + f.scale * (f.w / 2 - step[0] * ratio), f.top + f.scale * (f.h / 2 - step[1] * ratio)];
    this.viewer.together(this);
  }
  drag(step) { if ((this.layer ?? this.viewer.layer) === "pet") this.viewer.adjustSuv(step); else this.viewer.adjust(step); }
  click(uv) {
    const point = this.at(uv);
    this.viewer.go(point, { scrolled: true });
    this.viewer.ask(point, this.plane);
  }
  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[e.key];
    const moves = { ArrowUp: [0, -5], ArrowDown: [0, 5], ArrowLeft: [-5, 0], ArrowRight: [5, 0] }[e.key];
    if (e.shiftKey && moves) this.viewer.go(along(along(this.viewer.point, this.geometry.right, moves[0]), this.geometry.down, moves[1]), { scrolled: true });
    else if (steps) this.scroll(steps * this.downward);
    else if (e.key === "+" || e.key === "=") this.zoomTo(this.zoom * 1.25, this.cross());
    else if (e.key === "-") this.zoomTo(this.zoom / 1.25, this.cross());
    else if (e.key === "f" || e.key === "F") { this.fit(); this.viewer.together(this); }
    else if (e.key === "m" || e.key === "M") this.viewer.enlarge(this);
    else if (e.key === "e" || e.key === "E") this.viewer.ask(this.viewer.point, this.plane);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
  fit() {
    const body = this.viewer.images.body_mm;
    this.zoom = 1;
    this.middle = null;
    if (body && this.viewer.toBody) this.show(this.boxOf(body));
  }
  // Keep the cross in view when it was moved from elsewhere.
  follow() {
    const f = this.frame(), [u, v] = this.cross();
    const inside = u >= f.left && u <= f.left + f.w * f.scale && v >= f.top && v <= f.top + f.h * f.scale;
    if (!inside && this.zoom > 1) this.middle = [u, v];
  }
}

// The PET from all round, or all lesions from the front and the side.
class ProjectionPane extends Pane {
  constructor(viewer, canvas) { super(viewer, canvas, "coronal"); this.of = "pet"; this.view = 0; }
  get turning() { return this.of === "pet" && this.viewer.images.views.length > 0; }
  get geometry() { return this.turning ? this.viewer.images.views[this.view] : this.viewer.images.projections[this.view === 6 ? "sagittal" : "coronal"]; }
  get box() { return this.geometry.box; }
  frame() { this.zoom = 1; this.middle = null; return super.frame(); }
  index() { return 0; }
  neighbours() { return []; }
  follow() {}
  shapes() {
    if (this.turning) return [];
    return this.viewer.outlines.get(`/shadows?${new URLSearchParams({ plane: this.view === 6 ? "sagittal" : "coronal", read: this.viewer.drawn })}`);
  }
  draw() { if (this.viewer.images && (this.turning || this.viewer.images.projections.coronal)) super.draw(); }
  url() {
    const f = this.frame(), { w, h } = f, look = this.viewer.look("fused");
    if (this.turning) return `/view.png?${new URLSearchParams({ view: this.view, w, h, left: f.left.toFixed(3), top: f.top.toFixed(3), scale: f.scale.toFixed(6), ...look })}`;
    const of = this.viewer.images.pet && this.of === "pet" ? "pet" : "lesions";
    return `/projection.png?${new URLSearchParams({ plane: this.view === 6 ? "sagittal" : "coronal", of, w, h, ...look })}`;
  }
  hover() {}
  wheel(e) { e.preventDefault(); if (this.turning) this.viewer.turn(Math.sign(e.deltaY)); }
  pan() {}
  drag(step) { if (this.viewer.images.pet) this.viewer.adjustSuv(step); }
  click([u, v]) {
    const q = this.turning ? { view: this.view, u, v, ct: 0, pet: this.viewer.pet } : { plane: this.view === 6 ? "sagittal" : "coronal", u, v };
    const hottest = fetch(`/hottest?${new URLSearchParams(q)}`);
    this.viewer.wait(hottest.then((answer) => answer.json()).then((told) => {
      const g = this.geometry, there = along(along(g.corner_mm, g.right, u), g.down, v);
      const depth = dot(minus(this.viewer.point, g.corner_mm), g.through);
      const point = told.point_mm ?? along(there, g.through, depth);
      this.viewer.go(point);
      return this.viewer.lesionAt(point);
    }));
  }
  key(e) {
    const by = { ArrowLeft: -1, ArrowRight: 1, " ": 6 }[e.key];
    if (by) this.viewer.turn(by);
    else if (e.key === "m" || e.key === "M") this.viewer.enlarge(this);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
}

export class Viewer {
  constructor() {
    this.pictures = new Pictures();
    this.outlines = new Outlines(() => this.draw());
    Object.assign(this, {
      images: null, point: [0, 0, 0], window: [40, 400], opacity: 0.6, lastOpacity: 0.6, suv: 10, layer: "fused", layout: "planes",
      selected: "", drawn: 0, asked: null, lesions: true, avid: true, measuring: false, toBody: false, styles: {}, planStyles: {}, ct: 0, pet: 0, scales: new Map(), avidColour: [255, 90, 200], way: 0,
    });
    const canvas = (id) => document.getElementById(id);
    this.panes = PLANES.map((name) => new Pane(this, canvas(name), name));
    this.projection = new ProjectionPane(this, canvas("projection"));
    this.all = [...this.panes, this.projection];
    const watcher = new ResizeObserver(() => this.draw());
    for (const pane of this.all) watcher.observe(pane.canvas);
  }
  // picked(id): a lesion was clicked; painted(pane): a picture is on the screen; pointed(told): what lies under the
  // cursor; wordOf(name): the decision on it.
  heed({ picked, painted, pointed, wordOf }) {
    Object.assign(this, { picked, pointed, wordOf });
    this.painted = (pane) => { painted(pane); this.prefetch(); };
  }
  look(layer) {
    return {
      centre: Math.round(this.window[0]), width: Math.max(1, Math.round(this.window[1])), opacity: this.opacity.toFixed(2),
      suv: Number(this.suv.toPrecision(3)), layer: layer ?? this.layer, ct: this.ct, pet: this.pet, read: this.drawn,
    };
  }
  outlineLook(pane) {
    return {
      styles: this.styles, planStyles: this.planStyles, avidColour: this.avidColour, wordOf: this.wordOf, chosen: this.selected,
      lesions: this.lesions, avid: this.avid, filled: pane === this.projection,
    };
  }
  open(images, drawn) {
    const first = !this.images;
    this.images = { ...images, ...this.placed };
    this.drawn = drawn; // pictures and outlines of before are of other images
    this.outlines.forget();
    if (first) this.point = images.middle_mm;
    if (images.pet && !this.scaled) { this.suv = images.suv_max; this.scaled = true; }
    this.arrange(this.layout);
  }
  // Put another CT or PET in place: planes, masks and cross stay; each PET keeps a scale of its own.
  place(ct, pet, own, told) {
    this.scales.set(this.pet, this.suv);
    this.ct = ct;
    this.pet = pet;
    this.placed = ct || pet ? { ct: told.ct, pet: told.pet, unit: told.unit, views: told.views, suv_max: told.suv_max ?? own.suv_max } : null;
    if (!this.images) return;
    this.images = { ...own, ...this.placed };
    this.suv = this.scales.get(pet) ?? told.suv_max ?? own.suv_max;
    this.arrange(this.layout);
  }
  // No picture stays beside a verdict that is not its own.
  close() {
    this.images = null;
    for (const { canvas, context } of this.all) context.clearRect(0, 0, canvas.width, canvas.height);
  }
  // Three planes and the view from round; or CT, PET, both and the view of the axial plane.
  arrange(layout) {
    const four = layout !== "planes" && this.images?.pet && this.images?.ct;
    this.layout = four ? layout : "planes";
    this.panes.forEach((pane, n) => {
      pane.plane = four ? "axial" : PLANES[n];
      pane.layer = four ? ["ct", "pet", "fused"][n] : null;
      const what = four ? `Axial slice, ${LAYERS[pane.layer]}` : `${pane.plane[0].toUpperCase()}${pane.plane.slice(1)} slice`;
      pane.canvas.setAttribute("aria-label", `${what}: arrow up and down scroll, page up and down by ten, plus and minus zoom, E picks the lesion at the cross`);
    });
    if (four) for (const pane of this.panes.slice(1)) Object.assign(pane, { zoom: this.panes[0].zoom, middle: this.panes[0].middle });
    document.getElementById("panes").dataset.layout = this.layout;
    this.changed?.();
    this.draw();
  }
  together(pane) {
    for (const other of this.panes) if (other.plane === pane.plane) Object.assign(other, { zoom: pane.zoom, middle: pane.middle });
    this.draw();
  }
  draw() { if (this.images) for (const pane of this.all) pane.draw(); }
  go(point, { scrolled = false } = {}) {
    if (!this.images) return;
    this.point = point;
    if (!scrolled) this.way = 0;
    for (const pane of this.all) pane.follow();
    this.draw();
  }
  // Go to a lesion, and zoom until it fills a third of the pane.
  jump(point, box) {
    if (!this.images) return;
    this.point = point;
    this.way = 0;
    for (const pane of this.panes) if (box) pane.show(pane.boxOf(box), 1 / 3);
    this.draw();
  }
  prefetch() {
    clearTimeout(this.soon);
    if (!this.way) return; // only while one scrolls
    this.soon = setTimeout(() => {
      if (!this.images) return;
      const lists = this.panes.map((pane) => pane.neighbours()), urls = [];
      for (let n = 0; n < AHEAD; n += 1) for (const list of lists) if (list[n]) urls.push(list[n]);
      this.pictures.want(urls);
    }, 60);
  }
  hovered(point, plane) {
    this.under = point;
    if (!point) { this.pointed(null); return; }
    if (this.hovering) return;
    this.hovering = setTimeout(() => {
      this.hovering = null;
      if (!this.under) return;
      const at = this.under, [x, y, z] = at, { ct, pet, drawn } = this;
      fetch(`/values?${new URLSearchParams({ x, y, z, plane, ct, pet })}`).then((answer) => answer.json())
        .then((told) => { if (this.under && ct === this.ct && pet === this.pet && drawn === this.drawn) this.pointed({ ...told, point: at }); }).catch(() => {});
    }, HOVER_MS);
  }
  // On a plane: whatever its slice shows there; else what holds the point itself.
  lesionAt([x, y, z], plane = "") { return fetch(`/at?${new URLSearchParams({ x, y, z, plane })}`).then((answer) => answer.json()); }
  ask(point, plane) { this.wait(this.lesionAt(point, plane)); }
  // The lesion that was clicked last counts, in whatever order the answers come.
  wait(answer) {
    const asked = answer.then((told) => { if (this.asked === asked && told.lesion) this.picked(told.lesion); })
      .catch(() => {}).finally(() => { if (this.asked === asked) this.asked = null; });
    this.asked = asked;
  }
  // Do something once it is known which lesion was clicked.
  settled(act) { if (this.asked) this.asked.then(() => this.settled(act)); else act(); }
  adjust([dx, dy]) {
    if (!this.images.ct) { this.adjustSuv([dx, dy]); return; }
    this.window = [clamp(this.window[0] - dy * this.window[1] / 400, -2000, 4000), clamp(this.window[1] * Math.exp(dx / 250), 10, 6000)];
    this.changed?.();
    this.draw();
  }
  adjustSuv([dx, dy]) {
    this.suv = clamp(this.suv * Math.exp((dx + dy) / 250), 1e-6, 1e9);
    this.changed?.();
    this.draw();
  }
  setLayer(layer) { this.layer = layer; this.changed?.(); this.draw(); }
  enlarge(pane) {
    const grid = document.getElementById("panes"), own = pane.canvas.parentElement;
    const was = own.classList.contains("large");
    for (const other of grid.children) other.classList.remove("large");
    grid.classList.toggle("one", !was);
    own.classList.toggle("large", !was);
  }
  turn(by) {
    const p = this.projection, count = this.images.views.length || 24;
    p.view = p.turning ? (p.view + by + count) % count : p.view === 6 ? 0 : 6;
    this.changed?.();
    p.draw();
  }
  fit(toBody = false) { this.toBody = toBody; for (const pane of this.panes) pane.fit(); this.draw(); }
}

// Three linked planes and a projection. The server draws; this asks for pictures, keeps the last ones,
// fetches neighbours ahead, and turns mouse and keys into points in the patient (LPS, mm).

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (a, b, t) => [a[0] + b[0] * t, a[1] + b[1] * t, a[2] + b[2] * t];
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const KEPT = 160;
const AHEAD = 3;
const MOST_PIXELS = 4096; // a side, as the server draws

// Pictures by address, the ones used last kept; fetching ahead waits for what is to be seen now.
class Pictures {
  constructor() { this.kept = new Map(); this.flying = new Map(); this.ahead = []; this.busy = 0; }
  get(url) {
    const found = this.kept.get(url);
    if (found) { this.kept.delete(url); this.kept.set(url, found); }
    return found;
  }
  load(url) {
    const found = this.get(url);
    if (found) return Promise.resolve(found);
    if (!this.flying.has(url)) {
      this.busy += 1;
      const flight = fetch(url).then((answer) => {
        if (!answer.ok) throw new Error("no picture");
        return answer.blob();
      }).then(createImageBitmap).then((bitmap) => {
        this.kept.set(url, bitmap);
        while (this.kept.size > KEPT) {
          const [oldest, gone] = this.kept.entries().next().value;
          this.kept.delete(oldest);
          gone.close();
        }
        return bitmap;
      }).finally(() => { this.flying.delete(url); this.busy -= 1; this.next(); });
      this.flying.set(url, flight);
    }
    return this.flying.get(url);
  }
  want(urls) { this.ahead = urls.filter((url) => !this.kept.has(url)); this.next(); }
  next() { if (this.busy === 0 && this.ahead.length) this.load(this.ahead.shift()).catch(() => {}); }
}

class Pane {
  constructor(viewer, canvas, plane) {
    Object.assign(this, { viewer, canvas, plane, zoom: 1, middle: null, shown: "", wanted: "", loading: false });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    canvas.addEventListener("pointerdown", (e) => this.press(e));
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
      ...this.viewer.look(),
    });
    return `/slice.png?${q}`;
  }
  cross() {
    const g = this.geometry;
    const d = minus(this.viewer.point, g.corner_mm);
    return [dot(d, g.right), dot(d, g.down)];
  }
  draw() {
    if (!this.viewer.images || !this.canvas.clientWidth) return;
    this.wanted = this.url(this.index());
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
    const [u, v] = this.cross();
    const x = (u - f.left) / f.scale, y = (v - f.top) / f.scale;
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
    this.shown = url;
    this.canvas.dataset.shown = url;
    this.canvas.dataset.painted = String(Number(this.canvas.dataset.painted ?? 0) + 1);
    this.viewer.painted(this);
  }
  neighbours() {
    const at = this.index(), urls = [];
    for (let n = 1; n <= AHEAD; n += 1) {
      for (const i of [at + n, at - n]) if (i >= 0 && i < this.geometry.count) urls.push(this.url(i));
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
  scroll(steps) {
    const g = this.geometry, next = clamp(this.index() + steps, 0, g.count - 1);
    this.viewer.go(along(this.viewer.point, g.through, (next - this.index()) * g.step_mm));
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
    this.zoom = clamp(zoom, 0.5, 40);
    const after = this.frame();
    this.middle = [u - x * after.scale + after.scale * after.w / 2, v - y * after.scale + after.scale * after.h / 2];
    this.draw();
  }
  press(e) {
    this.canvas.focus();
    this.canvas.setPointerCapture(e.pointerId);
    const start = [e.clientX, e.clientY], pan = e.button === 1 || e.shiftKey;
    let last = start, moved = false;
    const move = (m) => {
      const step = [m.clientX - last[0], m.clientY - last[1]];
      moved ||= Math.hypot(m.clientX - start[0], m.clientY - start[1]) > 4;
      if (!moved) return;
      last = [m.clientX, m.clientY];
      if (pan) this.pan(step); else this.drag(step);
    };
    const end = (m) => {
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", end);
      this.canvas.removeEventListener("pointercancel", end);
      if (!moved && m.type === "pointerup") this.click(this.position(m));
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
  }
  pan(step) {
    const f = this.frame(), ratio = f.w / this.canvas.clientWidth;
    this.middle = [f.left + f.scale * (f.w / 2 - step[0] * ratio), f.top + f.scale * (f.h / 2 - step[1] * ratio)];
    this.draw();
  }
  drag(step) { this.viewer.adjust(step); }
  click(uv) {
    const point = this.at(uv);
    this.viewer.go(point);
    this.viewer.ask(point, this.plane);
  }
  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[e.key];
    const moves = { ArrowUp: [0, -5], ArrowDown: [0, 5], ArrowLeft: [-5, 0], ArrowRight: [5, 0] }[e.key];
    if (e.shiftKey && moves) this.viewer.go(along(along(this.viewer.point, this.geometry.right, moves[0]), this.geometry.down, moves[1]));
    else if (steps) this.scroll(steps * this.downward);
    else if (e.key === "+" || e.key === "=") this.zoomTo(this.zoom * 1.25, this.cross());
    else if (e.key === "-") this.zoomTo(this.zoom / 1.25, this.cross());
    else if (e.key === "f" || e.key === "F") this.fit();
    else if (e.key === "m" || e.key === "M") this.viewer.enlarge(this);
    else if (e.key === "Enter") this.viewer.ask(this.viewer.point, this.plane);
    else return;
    e.preventDefault();
    e.stopPropagation();
  }
  fit() { this.zoom = 1; this.middle = null; this.draw(); }
  // Keep the cross in view when it was moved from elsewhere.
  follow() {
    const f = this.frame(), [u, v] = this.cross();
    const inside = u >= f.left && u <= f.left + f.w * f.scale && v >= f.top && v <= f.top + f.h * f.scale;
    if (!inside && this.zoom > 1) this.middle = [u, v];
  }
}

class ProjectionPane extends Pane {
  constructor(viewer, canvas) { super(viewer, canvas, "coronal"); this.of = "pet"; }
  get geometry() { return this.viewer.images.projections[this.plane]; }
  get box() { return this.geometry.box; }
  frame() { this.zoom = 1; this.middle = null; return super.frame(); }
  index() { return 0; }
  neighbours() { return []; }
  follow() {}
  url() {
    const [w, h] = this.size();
    const of = this.viewer.images.pet ? this.of : "lesions";
    const look = this.viewer.look();
    if (of === "pet") { delete look.v; delete look.selected; }
    return `/projection.png?${new URLSearchParams({ plane: this.plane, of, w, h, ...look })}`;
  }
  wheel(e) { e.preventDefault(); }
  pan() {}
  drag(step) { if (this.viewer.images.pet) this.viewer.adjustSuv(step); }
  click([u, v]) {
    const hottest = fetch(`/hottest?${new URLSearchParams({ plane: this.plane, u, v })}`);
    this.viewer.wait(hottest.then((answer) => answer.json()).then((told) => {
      const g = this.geometry;
      const there = along(along(g.corner_mm, g.right, u), g.down, v);
      const depth = dot(minus(this.viewer.point, g.corner_mm), g.through);
      const point = told.point_mm ?? along(there, g.through, depth);
      this.viewer.go(point);
      return this.viewer.lesionAt(point);
    }));
  }
  key(e) {
    if (e.key === " ") { e.preventDefault(); this.viewer.turn(); return; }
    if (e.key === "m" || e.key === "M") { this.viewer.enlarge(this); e.preventDefault(); e.stopPropagation(); }
  }
}

export class Viewer {
  // picked(id): a lesion was clicked; painted(pane): a picture is on the screen.
  constructor({ picked, painted }) {
    this.picked = picked;
    this.painted = (pane) => { painted(pane); this.prefetch(); };
    this.pictures = new Pictures();
    this.images = null;
    this.point = [0, 0, 0];
    this.window = [40, 400];
    this.opacity = 0.6;
    this.suv = 10;
    this.selected = "";
    this.reading = 0;
    this.version = 0;
    this.asked = null;
    this.lesions = true;
    this.avid = true;
    const canvas = (id) => document.getElementById(id);
    this.panes = ["axial", "coronal", "sagittal"].map((name) => new Pane(this, canvas(name), name));
    this.projection = new ProjectionPane(this, canvas("projection"));
    this.all = [...this.panes, this.projection];
    const watcher = new ResizeObserver(() => this.draw());
    for (const pane of this.all) watcher.observe(pane.canvas);
  }
  look() {
    return {
      centre: Math.round(this.window[0]), width: Math.max(1, Math.round(this.window[1])), opacity: this.opacity.toFixed(2),
      suv: Number(this.suv.toPrecision(3)), selected: this.selected, lesions: this.lesions ? 1 : 0, avid: this.avid ? 1 : 0,
      read: this.reading, v: this.version,
    };
  }
  open(images) {
    const first = !this.images;
    this.images = images;
    if (first) { this.suv = images.suv_max; this.point = images.middle_mm; }
    this.draw();
  }
  // No picture stays beside a verdict that is not its own.
  close() {
    this.images = null;
    for (const { canvas, context } of this.all) context.clearRect(0, 0, canvas.width, canvas.height);
  }
  draw() { if (this.images) for (const pane of this.all) pane.draw(); }
  go(point) {
    if (!this.images) return;
    this.point = point;
    for (const pane of this.all) pane.follow();
    this.draw();
  }
  prefetch() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      if (!this.images) return;
      const lists = this.panes.map((pane) => pane.neighbours());
      const urls = [];
      for (let n = 0; n < 2 * AHEAD; n += 1) for (const list of lists) if (list[n]) urls.push(list[n]);
      this.pictures.want(urls);
    }, 60);
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
  enlarge(pane) {
    const grid = document.getElementById("panes"), own = pane.canvas.parentElement;
    const was = own.classList.contains("large");
    for (const other of grid.children) other.classList.remove("large");
    grid.classList.toggle("one", !was);
    own.classList.toggle("large", !was);
  }
  turn() {
    this.projection.plane = this.projection.plane === "coronal" ? "sagittal" : "coronal";
    this.changed?.();
    this.projection.draw();
  }
  fit() { for (const pane of this.all) pane.fit(); }
}

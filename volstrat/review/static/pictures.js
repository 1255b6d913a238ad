// Pictures and outlines from the server: the ones used last are kept; fetching ahead waits for what is seen now.

const KEPT = 160;

export class Pictures {
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

// Outlines by address, as lists of [name, loops of u, v, u, v, ... in mm]; a mark does not change them.
export class Outlines {
  constructor(arrived) { this.kept = new Map(); this.flying = new Set(); this.arrived = arrived; }
  get(url) {
    const found = this.kept.get(url);
    if (found || this.flying.has(url)) return found ?? null;
    this.flying.add(url);
    fetch(url).then((answer) => (answer.ok ? answer.json() : { shapes: [] })).then((told) => {
      this.kept.set(url, told.shapes);
      if (this.kept.size > 4 * KEPT) this.kept.delete(this.kept.keys().next().value);
      this.arrived();
    }).catch(() => {}).finally(() => this.flying.delete(url));
    return null;
  }
  forget() { this.kept.clear(); }
}

const MOST_NAMES = 14;
const ORDER = ["dismissed", "not_tumour", "resectable", "ablatable", "partial", "unknown", "unresectable"];

function trace(context, loop, frame) {
  const at = (n) => [Math.round((loop[n] - frame.left) / frame.scale), Math.round((loop[n + 1] - frame.top) / frame.scale)];
  context.moveTo(...at(0));
  for (let n = 2; n < loop.length; n += 2) context.lineTo(...at(n));
  context.closePath();
}

function stroke(context, loops, frame, colour, width, dash = []) {
  context.beginPath();
  for (const loop of loops) trace(context, loop, frame);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function bounds(loops, frame) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const loop of loops) {
    for (let n = 0; n < loop.length; n += 2) {
      const x = (loop[n] - frame.left) / frame.scale, y = (loop[n + 1] - frame.top) / frame.scale;
      [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
    }
  }
  return [x0, y0, x1, y1];
}

function brackets(context, [x0, y0, x1, y1]) {
  const arm = Math.min(Math.max((x1 - x0) / 5, 6), 18);
  const path = () => {
    context.beginPath();
    for (const [x, dx] of [[x0 - 8, 1], [x1 + 8, -1]]) {
      for (const [y, dy] of [[y0 - 8, 1], [y1 + 8, -1]]) {
        context.moveTo(Math.round(x), Math.round(y + dy * arm));
        context.lineTo(Math.round(x), Math.round(y));
        context.lineTo(Math.round(x + dx * arm), Math.round(y));
      }
    }
  };
  for (const [colour, width] of [["#000", 5], ["#fff", 2]]) {
    path();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

function signAt(context, x, y, r, style, colour) {
  context.fillStyle = context.strokeStyle = colour;
  context.lineWidth = Math.max(2, r / 2);
  context.beginPath();
  if (style.sign === "disc") context.arc(x, y, r, 0, 7);
  else if (style.sign === "diamond") { context.moveTo(x - r - 1, y); context.lineTo(x, y - r - 1); context.lineTo(x + r + 1, y); context.lineTo(x, y + r + 1); }
  else if (style.sign === "cross") {
    context.moveTo(x - r, y - r); context.lineTo(x + r, y + r); context.moveTo(x - r, y + r); context.lineTo(x + r, y - r);
    context.stroke();
    return;
  } else if (style.sign === "question") {
    if (colour === "#000") { context.lineWidth = 3; context.strokeText("?", x - r, y + r); } else context.fillText("?", x - r, y + r);
    return;
  } else {
    context.arc(x, y, r, 0, 7);
    context.stroke();
    context.beginPath();
    if (style.sign === "half") context.arc(x, y, r, Math.PI / 2, (3 * Math.PI) / 2);
  }
  context.fill();
}

function label(context, name, [x, y], style, size, chosen) {
  const text = Math.max(12, size) + (chosen ? 2 : 0), r = text * 0.36;
  context.font = `${chosen ? "bold " : ""}${text}px system-ui, sans-serif`;
  const wide = context.measureText(name).width + 3 * r;
  const at = Math.min(Math.max(2, x), Math.max(2, context.canvas.width - wide - 2));
  const level = Math.min(Math.max(text, y), context.canvas.height - text);
  const colour = `rgb(${style.colour})`;
  signAt(context, at + r, level, style.sign === "question" ? r : r + 1, style, "#000"); // a rim
  signAt(context, at + r, level, r, style, colour);
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = "#000";
  context.strokeText(name, at + 2.6 * r, level + r);
  context.fillStyle = colour;
  context.fillText(name, at + 2.6 * r, level + r);
}

// Draw outlines in the styles of their markings: what stands in the way on top, the chosen one last.
// look: styles, planStyles (of what a surgical plan leaves, cuts and ablates), avidColour, wordOf(name), chosen, lesions, avid, filled
export function drawOutlines(context, shapes, frame, look) {
  const ratio = window.devicePixelRatio || 1;
  for (const [name, loops] of look.lesions ? shapes.filter(([name]) => name in look.planStyles) : []) {
    stroke(context, loops, frame, "#000", 4);
    stroke(context, loops, frame, `rgb(${look.planStyles[name].colour})`, 2, look.planStyles[name].dash);
  }
  const told = shapes.filter(([name]) => !(name in look.planStyles)).map(([name, loops]) => ({ name, loops, word: name === "avid" ? "avid" : look.wordOf(name) }))
    .filter((x) => (x.name === "avid" ? look.avid : look.lesions));
  const rank = (x) => (x.name === "avid" ? -1 : x.name === look.chosen ? 99 : ORDER.indexOf(x.word));
  told.sort((a, b) => rank(a) - rank(b));
  const named = [];
  for (const { name, loops, word } of told) {
    if (name === "avid") { stroke(context, loops, frame, `rgb(${look.avidColour})`, 1); continue; }
    const style = look.styles[word] ?? look.styles.unknown, width = (style.double ? 4 : 2) * Math.round(ratio);
    if (look.filled) {
      context.beginPath();
      for (const loop of loops) trace(context, loop, frame);
      context.fillStyle = `rgb(${style.colour} / .6)`;
      context.fill();
    }
    stroke(context, loops, frame, "#000", width + 2);
    stroke(context, loops, frame, `rgb(${style.colour})`, width, style.dash);
    if (style.double) stroke(context, loops, frame, "#000", Math.round(ratio));
    const box = bounds(loops, frame);
    if (name === look.chosen) brackets(context, box);
    if (box[2] > 0 && box[3] > 0 && box[0] < frame.w && box[1] < frame.h) named.push({ name, style, at: [box[2] + (name === look.chosen ? 14 : 5), box[1] - 5] });
  }
  const size = Math.min(frame.w, frame.h) / 26;
  for (const { name, style, at } of named) {
    if (named.length <= MOST_NAMES || name === look.chosen) label(context, name, at, style, size, name === look.chosen);
  }
}

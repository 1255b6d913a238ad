// Surgical plans: columns under the table, segments to try, a choice with a name and a reason. Nothing that is
// tried changes anything before it is saved. Texts from files are only ever set as text.

import { $, button, drawing, kept, make, post, shared, text } from "./store.js";

const ROWS = ["Stratum", "Debulked", "Avid left", "Remnant", "Stays", "Taken"];
let viewer = null, seen = "", posted = 0, pending = 0, tried = new Set(), told = { columns: [], segments: [] }, like = "";

export function startPlans(theViewer) {
  viewer = theViewer;
  $("plan-ok").addEventListener("click", () => { ask.done?.(); });
  $("plan-dialog").querySelector(".close").addEventListener("click", () => $("plan-dialog").close());
}

// The comparison follows the state: asked for again when the verdict may be another. What was tried meanwhile
// stands over an answer that does not know of it yet.
export async function refreshPlans() {
  const { state } = shared, now = `${state.reading}/${state.version}`, before = posted;
  if (pending || now === seen || !state.verdict || !(state.planned || told.columns.length || told.segments.length)) return;
  seen = now;
  try {
    const answer = await fetch("/plans"), next = answer.ok ? await answer.json() : null;
    if (before === posted) { if (next) take(next); } else { seen = ""; refreshPlans(); }
  } catch { seen = ""; }
}

async function act(body) {
  posted += 1;
  pending += 1;
  const mine = posted;
  try {
    const answer = await post("/plan", body);
    const next = await answer.json();
    if (next.columns && mine === posted) take(next);
    text($("plan-said"), next.error ?? "");
    return answer.ok;
  } finally {
    pending -= 1;
    refreshPlans();
  }
}

function take(next) {
  const shown = told.shown;
  told = next;
  tried = new Set(told.tried);
  if (told.shown !== shown || told.shown === "tried") { viewer.outlines.forget(); viewer.draw(); }
  render();
}

function render() {
  const box = $("plans-box");
  box.hidden = !told.columns.length && !told.segments.length;
  if (box.hidden) return;
  const head = make("tr");
  head.append(make("th", "Plan"));
  for (const column of told.columns) {
    const cell = make("th", "", column.chosen ? "chosen" : "");
    cell.scope = "col";
    const show = button(column.tried ? "Tried" : column.name, () => act({ action: "show", plan: column.name === told.shown ? "" : column.name }));
    show.title = `${column.title || column.name}: show what it cuts`;
    show.setAttribute("aria-pressed", String(column.name === told.shown));
    cell.append(show);
    if (column.chosen) cell.append(" chosen");
    head.append(cell);
  }
  const rows = ROWS.filter((name) => told.columns.some((c) => c.cells[name])).map((name) => {
    const line = make("tr"), first = make("th", name);
    first.scope = "row";
    line.append(first);
    for (const column of told.columns) {
      const cell = make("td", column.cells[name] ?? "", name === "Stratum" ? column.stratum : "");
      cell.title = column.whole;
      if (name === "Remnant" && column.bar) cell.append(make("br"), drawing(column.bar));
      if (name === "Stratum" && column.reviews.length) { cell.append(make("small", " !")); cell.title = column.reviews.join("\n"); }
      line.append(cell);
    }
    return line;
  });
  if (told.can_write && told.columns.length) {
    const line = make("tr");
    line.append(make("th", ""));
    for (const column of told.columns) {
      const cell = make("td");
      cell.append(column.tried ? button("Save", () => ask(true, "")) : button("Choose", () => ask(false, column.name)));
      line.append(cell);
    }
    rows.push(line);
  }
  const names = make("colgroup"); // a caption that is not seen takes the first row's widths away
  names.append(make("col"));
  $("plans").replaceChildren(make("caption", "Surgical plans side by side"), names, ...[head, ...rows]);
  const choice = told.choice;
  text($("plan-choice"), choice ? [choice.by && `Chosen by ${choice.by}`, choice.reason, choice.at].filter(Boolean).join(", ") : "");
  renderSegments();
  $("plan-try").hidden = !told.segments.length;
  const from = $("plan-like");
  from.replaceChildren(new Option("segments alone", ""), ...told.columns.filter((c) => !c.tried).map((c) => new Option(`with what else ${c.name} does`, c.name)));
  from.value = like;
  from.onchange = () => { like = from.value; act({ action: "try", segments: told.tried, like }); };
  $("plan-try").title = told.note ?? "";
}

// The buttons stay while their names do: one that is replaced between press and release takes no click.
function renderSegments() {
  const box = $("plan-segments");
  if ([...box.children].map((one) => one.textContent).join("\n") !== told.segments.join("\n")) {
    box.replaceChildren(...told.segments.map((name) => button(name, () => {
      if (tried.has(name)) tried.delete(name); else tried.add(name);
      act({ action: "try", segments: told.segments.filter((s) => tried.has(s)), like });
    })));
  }
  for (const one of box.children) one.setAttribute("aria-pressed", String(tried.has(one.textContent)));
}

function ask(saves, name) {
  text($("plan-title"), saves ? "Save as a plan" : `Choose plan ${name}`);
  $("plan-name-line").hidden = !saves;
  $("plan-reason-line").hidden = saves;
  $("plan-by").value ||= $("reader").value || kept.get("reader", "");
  $("plan-name").value = $("plan-reason").value = "";
  text($("plan-wrong"), "");
  ask.done = async () => {
    const by = $("plan-by").value.trim();
    const good = saves
      ? await act({ action: "save", plan: $("plan-name").value.trim(), by })
      : await act({ action: "choose", plan: name, by, reason: $("plan-reason").value.trim() });
    if (good) { $("plan-dialog").close(); seen = ""; } else text($("plan-wrong"), $("plan-said").textContent);
  };
  $("plan-dialog").showModal();
}

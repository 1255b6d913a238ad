// The verdict: the stratum, its criteria, what it hangs on, and the findings, of which a review can be closed.

import { $, button, drawing, make, shared, text } from "./store.js";
import { askWords } from "./notes.js";

let everSaid = "";

export function renderVerdict() {
  const { state } = shared, v = state.verdict, failed = state.error || state.problem;
  $("stratum").className = `stratum ${failed ? "failed" : v?.to_mark && v.title === v.to_mark ? "to-mark" : v?.stratum ?? ""}`;
  text($("stratum"), state.error ? "Failed" : state.problem ? "Table does not fit" : v?.title ?? "Reading ...");
  text($("status"), state.error || state.problem ? "" : v?.status ?? `${state.stage} ...`);
  const said = JSON.stringify(v);
  if (said === everSaid) return;
  everSaid = said;
  $("bars").replaceChildren(...(v?.bars ?? []).map((bar) => {
    const card = make("div", "", "bar"), head = make("h2", `${bar.title} ${bar.share}, `);
    head.append(make("span", bar.met, bar.met.replace(" ", "_")));
    const line = make("p", bar.told);
    if (bar.counted) line.append(make("small", ` (${bar.counted})`));
    card.append(head, drawing(bar.svg), line);
    return card;
  }));
  text($("margin"), [v?.margin, v?.remnant].filter(Boolean).join(" "));
  $("changes").replaceChildren(...(v?.following ? ["..."] : v?.changes ?? []).map((line) => make("li", line)));
  const findings = v?.findings ?? [], grave = findings.filter((f) => f.severity === "blocking" || (f.severity === "review" && !f.closed)).length;
  text($("finding-count"), `(${findings.length}${grave ? `, ${grave} to look at` : ""})`);
  $("finding-count").classList.toggle("grave", grave > 0);
  $("findings").replaceChildren(...findings.map((f) => {
    const item = make("li", "", f.severity);
    item.append(make("b", `${f.closed ? "Closed" : f.word}: `), document.createTextNode(`${f.message} `));
    if (f.closed) item.append(make("span", `${f.closed.by}: ${f.closed.reason}`, "soft"));
    else if (f.severity === "review" && !state.read_only) item.append(button("Close ...", () => askWords("accept", f)));
    return item;
  }));
}

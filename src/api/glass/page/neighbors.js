// All neighbors: live, filtered as one types, problems first.

import { h, glyph } from "./dom.js";
import { number, duration, STATES, HEALTH, TYPES } from "./words.js";
import { Grid } from "./table.js";
import * as live from "./live.js";

const ORDER = { bad: 0, degraded: 1, off: 2, good: 3 };
const CHIPS = [["", "All"], ["good", "Up"], ["bad", "Down"], ["degraded", "Degraded"], ["off", "Switched off"]];

export const to = (id) => `#/neighbors/${encodeURIComponent(id)}`;

const COLUMNS = [
  { id: "neighbor", title: "Neighbor", class: "c-address", sort: (r) => r.order, cell: (r) => h("a", { href: to(r.id) }, r.id) },
  { id: "name", title: "Name", class: "c-name", sort: (r) => r.name ?? "\uffff", cell: (r) => r.name ?? "–" },
  { id: "type", title: "Type", class: "c-type p3", sort: (r) => r.type, cell: (r) => TYPES[r.type] ?? r.type },
  { id: "as", title: "AS", number: true, class: "c-as p2", sort: (r) => r.asn ?? 0, cell: (r) => String(r.asn ?? "–") },
  { id: "state", title: "State", class: "c-state", sort: (r) => `${ORDER[r.health]}${r.state}`, cell: (r) => sign(r) },
  { id: "since", title: "Up/Down", number: true, class: "c-since", sort: (r) => -Date.parse(r.since), cell: (r) => duration(live.since(r.since)), ticks: true },
  { id: "received", title: "Rcvd", number: true, class: "c-count p2", sort: (r) => r.received, cell: (r) => number(r.received) },
  { id: "accepted", title: "Acpt", number: true, class: "c-count p3", sort: (r) => r.accepted, cell: (r) => number(r.accepted) },
  { id: "advertised", title: "Sent", number: true, class: "c-count p2", sort: (r) => r.advertised, cell: (r) => number(r.advertised) },
  { id: "flaps", title: "Flaps", number: true, class: "c-flaps p3", sort: (r) => r.flaps, cell: (r) => number(r.flaps) },
  { id: "error", title: "Last error", class: "c-error p2", sort: (r) => r.error ?? "\uffff", cell: (r) => (r.error ? h("span", { title: r.error }, r.error) : "") },
];

// The state in words, with a sign; what is wrong with a session that is up is said too.
export function sign(row) {
  const word = row.admin === "down" && row.state !== "established" ? "Admin down" : (STATES[row.state] ?? row.state);
  return h("span.state", null, glyph(row.health), word, row.health === "degraded" ? h("span.quiet", null, ", degraded") : null);
}

// Whether a row has every word of the filter: at the beginning of one of its words, longer ones anywhere. So `rack 7` is not found in
// every address with a 7.
function matcher(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) => {
    if (!words.length) return true;
    const as = row.asn ? `as${row.asn}` : "";
    const hay = ` ${[row.id, row.name, row.group, row.description, as, row.type, row.state, HEALTH[row.health], row.error].join(" ").toLowerCase()}`;
    return words.every((word) => hay.includes(word.length < 3 ? ` ${word}` : word));
  };
}

export function neighbors(query) {
  let [text, health] = [query.get("q") ?? "", query.get("show") ?? ""];
  const [id, way] = (query.get("sort") ?? "state").split("-");
  const grid = new Grid({
    caption: "Neighbors. The arrow keys go from row to row.",
    columns: COLUMNS,
    key: (row) => row.id,
    sort: { id, down: way === "down" },
    onsort: (sort) => keep({ sort: `${sort.id}${sort.down ? "-down" : ""}` }),
  });
  const found = h("p.found", { role: "status" });
  const none = h("div");
  const input = h("input", {
    type: "search", value: text, placeholder: "Address, name, AS, group, state, error …", "aria-label": "Filter neighbors", autocomplete: "off", spellcheck: "false",
    oninput: () => {
      text = input.value;
      keep({ q: text });
      refresh();
    },
  });
  const chips = CHIPS.map(([value, title]) => {
    const count = h("span.count");
    const press = () => {
      health = value;
      keep({ show: value });
      refresh();
    };
    return { value, count, button: h("button", { type: "button", onclick: press }, value ? glyph(value) : null, title, " ", count) };
  });

  // The address of the page says what is shown, so that it can be sent to a colleague.
  function keep(changes) {
    const now = new URLSearchParams(location.hash.split("?")[1] ?? "");
    for (const [name, value] of Object.entries(changes)) {
      if (value) now.set(name, value);
      else now.delete(name);
    }
    const tail = now.toString();
    history.replaceState(null, "", `#/neighbors${tail ? `?${tail}` : ""}`);
  }

  function refresh() {
    const rows = [...live.state.rows.values()];
    const counts = { "": rows.length };
    for (const row of rows) counts[row.health] = (counts[row.health] ?? 0) + 1;
    for (const chip of chips) {
      chip.count.textContent = number(counts[chip.value] ?? 0);
      chip.button.setAttribute("aria-pressed", String(chip.value === health));
    }
    const fits = matcher(text);
    const view = rows.filter((row) => (!health || row.health === health) && fits(row));
    grid.set(view);
    const said = view.length === rows.length ? `${number(rows.length)} neighbors` : `${number(view.length)} of ${number(rows.length)} neighbors`;
    if (found.textContent !== said) found.textContent = said;
    grid.table.hidden = !view.length;
    const why = !live.state.summary ? "Loading …" : rows.length ? "No neighbor fits the filter." : "No neighbors are configured yet.";
    none.replaceChildren(...(view.length ? [] : [h("p.empty", null, why)]));
  }

  const stop = live.watch((changed) => changed.size && refresh());
  const tools = h("div.tools", null, input, h("div.chips", { role: "group", "aria-label": "Show" }, chips.map((chip) => chip.button)), found);
  queueMicrotask(refresh);
  return {
    title: "Neighbors",
    content: h("div.neighbors", null, tools, grid.table, none),
    leave: () => {
      stop();
      grid.close();
    },
  };
}

// Tables of routes, a page at a time.

import { h, table, empty, fill } from "./dom.js";
import { number, duration, asPath, reason } from "./words.js";
import { ask } from "./live.js";

const PAGE = 200;
const MARKS = [["best", ">", "best"], ["multipath", "=", "used beside the best (ECMP)"], ["stale", "S", "stale"], ["filtered", "F", "filtered"], ["local", "L", "ours"], ["internal", "i", "learned over iBGP"]];

export const lookup = (prefix) => h("a", { href: `#/lookup/${prefix}` }, prefix);

// The signs of `show rib`, each with what it means.
export function marks(entry) {
  const set = MARKS.filter(([field]) => entry[field]);
  const valid = entry.valid && !entry.filtered ? [h("abbr", { title: "valid" }, "*")] : [];
  return h("span.marks", null, valid, set.map(([, sign, title]) => h("abbr", { title }, sign)));
}

export function communities(entry) {
  return [...(entry.communities ?? []), ...(entry.largeCommunities ?? []), ...(entry.extendedCommunities ?? [])].join(" ");
}

const ORIGINS = { igp: "i", egp: "e", incomplete: "?" };

const COLUMNS = [
  { title: "Network", class: "mono" },
  { title: "", class: "marks-column" },
  { title: "Next hop", class: "mono" },
  { title: "LocPrf", number: true },
  { title: "MED", number: true, class: "p2" },
  { title: "AS path", class: "mono path" },
  { title: "Communities", class: "mono p2 path" },
  { title: "Age", number: true, class: "p2" },
  { title: "Reason", class: "p2" },
];

function line(entry) {
  const path = `${asPath(entry)} ${ORIGINS[entry.origin] ?? ""}`.trim();
  return [lookup(entry.prefix), marks(entry), entry.nextHop ?? "–", entry.localPref === undefined ? "–" : String(entry.localPref), entry.med === undefined ? "–" : String(entry.med), path, communities(entry), duration(entry.ageSeconds), reason(entry.reason)];
}

// Routes of a view; more of them on request.
export function routes(view, query, none) {
  const place = h("div");
  const rows = [];
  const load = async (token) => {
    const more = token ? `&continue=${encodeURIComponent(token)}` : "";
    const { items, metadata } = await ask(`rib?view=${view}&limit=${PAGE}${query}${more}`);
    rows.push(...items);
    if (!rows.length) return empty(none);
    const next = metadata?.continue;
    const button = next ? h("button.more", { type: "button", onclick: () => fill(place, () => load(next)) }, `Show ${PAGE} more`) : null;
    return [h("p.hint", null, `${number(rows.length)} routes${next ? " so far" : ""}`), table("Routes", COLUMNS, rows.map(line), { class: "routes" }), button].filter(Boolean);
  };
  fill(place, () => load(null));
  return place;
}

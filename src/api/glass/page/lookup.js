// A prefix: its paths, the way it takes through the daemon, and who has it.

import { h, glyph, table, section, fill, empty, facts, prose } from "./dom.js";
import { duration, moment, asPath, reason } from "./words.js";
import { marks, communities } from "./routes.js";
import { to } from "./neighbors.js";
import * as live from "./live.js";

const CHANGES = 50;

const VERDICTS = { pass: ["good", "passes"], block: ["bad", "stops here"], note: ["note", "note"] };

export function lookup(wanted, query) {
  const target = query.get("to") ?? "";
  const place = h("div", { "aria-live": "polite" });
  const input = h("input.mono", { type: "text", id: "prefix", value: wanted ?? "", placeholder: "203.0.113.7 or 2001:db8::/48", autocomplete: "off", spellcheck: "false", inputmode: "text" });
  const peers = h("input.mono", { type: "text", id: "to", value: target, placeholder: "any neighbor", list: "peers", autocomplete: "off", spellcheck: "false" });
  const list = h("datalist", { id: "peers" }, [...live.state.rows.values()].map((row) => h("option", { value: row.id }, row.name ?? "")));
  const ask = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    const tail = peers.value.trim() ? `?to=${encodeURIComponent(peers.value.trim())}` : "";
    const next = `#/lookup/${text}${tail}`;
    if (location.hash === next) run();
    else location.hash = next;
  };
  const run = () => fill(place, () => answer((wanted ?? "").trim(), target));
  const form = h("form.ask", { role: "search", onsubmit: ask }, h("label", { for: "prefix" }, "Prefix or address"), input, h("label", { for: "to" }, "Should be at"), peers, list, h("button", { type: "submit" }, "Look up"));
  if (wanted) run();
  else {
    place.append(empty("Where is a route, and why?", "An address finds the most specific prefix that holds it."));
    queueMicrotask(() => input.focus());
  }
  return { title: wanted ? `Lookup ${wanted}` : "Lookup", heading: "Lookup", content: h("div.lookup", null, form, place) };
}

async function answer(wanted, target) {
  const tail = target ? `&to=${encodeURIComponent(target)}` : "";
  const [trace, past, route] = await Promise.all([
    live.ask(`explain?prefix=${encodeURIComponent(wanted)}${tail}`),
    live.ask(`history?prefix=${encodeURIComponent(wanted)}`),
    live.ask(`routes/${wanted.split("/").map(encodeURIComponent).join("/")}`).catch((problem) => (problem.status === 404 ? null : Promise.reject(problem))),
  ]);
  const shown = [h("h2.prefix.mono", null, route?.prefix ?? trace.prefix), traced(trace)];
  if (route) shown.push(section("Paths", paths(route)), section("Sent to", sent(route)));
  if (route?.fib) shown.push(section("Kernel", kernel(route.fib)));
  shown.push(section("Changes of the best path", changes(past.items, route?.prefix ?? trace.prefix)));
  return shown;
}

// The steps in words, with the first that blocks and its remedy.
export function traced(trace, title) {
  const step = (s) => {
    const [sign, word] = VERDICTS[s.verdict] ?? VERDICTS.note;
    return h("li", { class: s.verdict }, glyph(sign), h("span.stage", null, s.stage), h("span.text", null, prose(s.text), h("span.quiet", null, ` (${word})`), s.reason ? h("code", null, s.reason) : null));
  };
  const health = trace.ok ? "good" : "bad";
  title ??= trace.ok ? "Nothing stands in its way" : `It ends here: ${reason(trace.reason)}`;
  return h("section.trace", { "aria-label": "Decision trace" }, h(`div.notice.${health}`, null, h("p", null, glyph(health), " ", h("strong", null, title), " ", h("code", null, trace.reason)), trace.remedy ? h("p.remedy", null, prose(trace.remedy)) : null), h("ol.steps", null, trace.steps.map(step)));
}

function paths(route) {
  const columns = [{ title: "From" }, { title: "" }, { title: "Next hop", class: "mono" }, { title: "LocPrf", number: true }, { title: "MED", number: true }, { title: "AS path", class: "mono path" }, { title: "Communities", class: "mono path p2" }, { title: "Age", number: true, class: "p2" }, { title: "Decision", class: "text" }];
  const from = (p) => (p.local ? "ourselves" : h("a", { href: to(p.peer) }, p.peerName ?? p.peer));
  const row = (p) => [from(p), marks(p), p.nextHop ?? "–", p.localPref === undefined ? "–" : String(p.localPref), p.med === undefined ? "–" : String(p.med), asPath(p) || "–", communities(p) || "–", duration(p.ageSeconds), p.decision];
  return route.paths.length ? table("Paths, the best one first", columns, route.paths.map(row), { class: "routes" }) : empty("There is no path.");
}

function sent(route) {
  if (!route.sentTo.length) return empty("No neighbor is established.");
  const order = [...route.sentTo].sort((a, b) => Number(b.advertised) - Number(a.advertised));
  const yes = order.filter((peer) => peer.advertised).length;
  const columns = [{ title: "Neighbor" }, { title: "Address", class: "mono" }, { title: "Sent" }, { title: "Reason" }];
  const row = (p) => [h("a", { href: to(p.peer) }, p.name ?? p.peer), p.peer, [glyph(p.advertised ? "good" : "off"), p.advertised ? " yes" : " no"], h("span", { title: p.reason }, reason(p.reason))];
  const all = table("Neighbors and whether they were told", columns, order.slice(0, 500).map(row));
  return [h("p.hint", null, `${yes} of ${order.length} established neighbors have it.`), order.length > 24 ? h("details", null, h("summary", null, "Show them"), all) : all];
}

// The newest first; of other prefixes that hold the address, the prefix is said.
function changes(items, prefix) {
  if (!items.length) return empty("None is remembered.");
  const from = (c) => (c.peer ? h("a", { href: to(c.peer) }, c.peerName ?? c.peer) : "ourselves");
  const facts = (c) => [c.nextHop ? `next hop ${c.nextHop}` : "", c.localPref === undefined ? "" : `LOCAL_PREF ${c.localPref}`, c.asPathLength === undefined ? "" : `${c.asPathLength} in the AS path`].filter(Boolean).join(", ");
  const text = (c) => (c.kind === "gone" ? [h("b", null, "gone"), ": no path was left"] : [h("b", null, "best"), " from ", from(c), " ", h("span.hint", null, facts(c))]);
  const other = (c) => (c.prefix === prefix ? null : h("span.mono", null, `${c.prefix} `));
  return h("ol.events", null, [...items].reverse().slice(0, CHANGES).map((c) => h("li", null, h("time", { datetime: c.at, title: c.at }, moment(c.at)), glyph(c.kind === "gone" ? "bad" : "good"), h("span", null, other(c), text(c)))));
}

export const hops = (entry) => (entry.blackhole ? "blackhole" : entry.hops.map((hop) => [hop.via ? `via ${hop.via}` : "", hop.device ? `dev ${hop.device}` : "", entry.hops.length > 1 ? `weight ${hop.weight}` : ""].filter(Boolean).join(" ")).join(", "));

function kernel(entry) {
  const health = { installed: "good", pending: "degraded", failed: "bad", stale: "degraded" }[entry.state] ?? "note";
  return facts([["State", h("span.state", null, glyph(health), entry.state)], ["Route", h("span.mono", null, hops(entry))], ["Table", String(entry.table)], ["Metric", String(entry.metric)], ["Error", entry.error]]);
}

// Where the kernel differs from what it should hold, and the next hops that routes use.

import { h, glyph, table, section, fill, empty, busy, prose } from "./dom.js";
import { number } from "./words.js";
import { hops } from "./lookup.js";
import * as live from "./live.js";

const MEANING = { pending: "wanted, not confirmed yet", failed: "refused by the kernel", extra: "ours, not wanted any more", stale: "from before a restart", foreign: "not ours", installed: "installed" };
const MOST = 1000;

export function kernel() {
  const [routes, nexthops] = [h("div", null, busy()), h("div", null, busy())];
  const load = () => {
    fill(routes, async () => differences((await live.ask("fib")).items));
    fill(nexthops, async () => resolved((await live.ask("nexthops")).items));
  };
  const clock = setInterval(() => !document.hidden && !live.state.lost && load(), 5000);
  load();
  return { title: "Kernel", content: h("div.kernel", null, section("Differences", routes), section("Next hops", nexthops)), leave: () => clearInterval(clock) };
}

function differences(items) {
  if (!items.length) return h("div.notice.good", null, h("p", null, glyph("good"), " ", h("strong", null, "The kernel holds what it should.")));
  const sign = { failed: "bad", pending: "degraded", extra: "degraded", stale: "degraded" };
  const columns = [{ title: "Network", class: "mono" }, { title: "State" }, { title: "Route", class: "mono text" }, { title: "Metric", number: true, class: "p2" }, { title: "Table", number: true, class: "p2" }, { title: "Error", class: "text" }];
  const row = (r) => [h("a", { href: `#/lookup/${r.prefix}` }, r.prefix), h("span.state", null, glyph(sign[r.state] ?? "note"), r.state, h("span.why", null, ` · ${MEANING[r.state] ?? ""}`)), hops(r), String(r.metric), String(r.table), r.error ?? ""];
  const many = items.length >= MOST ? h("p.hint", null, prose(`The first ${number(MOST)}; \`bgpctl show fib diff\` lists all.`)) : h("p.hint", null, `${number(items.length)} routes differ.`);
  return [many, table("Kernel routes that differ", columns, items.map(row))];
}

function resolved(items) {
  if (!items.length) return empty("No route has a next hop to resolve.");
  items.sort((a, b) => Number(a.reachable) - Number(b.reachable) || b.paths - a.paths);
  const columns = [{ title: "Next hop", class: "mono" }, { title: "Reachable" }, { title: "By", class: "mono" }, { title: "Cost", number: true, class: "p2" }, { title: "Paths", number: true }];
  const by = (n) => (n.reachable ? [n.connected ? "connected" : n.via ? `via ${n.via}` : "", n.device ? `dev ${n.device}` : ""].filter(Boolean).join(" ") : "–");
  const row = (n) => [n.address, h("span.state", null, glyph(n.reachable ? "good" : "bad"), n.reachable ? "yes" : "no route"), by(n), n.cost === undefined ? "–" : String(n.cost), number(n.paths)];
  return table("Next hops", columns, items.map(row));
}

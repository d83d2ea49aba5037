// Addresses of Services: where each is announced, why it is not, and how full the pools are.

import { h, glyph, table, section, fill, empty, busy } from "./dom.js";
import { number, reason } from "./words.js";
import { traced } from "./lookup.js";
import { to } from "./neighbors.js";
import * as live from "./live.js";

const label = (service) => (service.namespace ? `${service.namespace}/${service.name}` : service.name);

export function services(wanted) {
  return wanted ? one(wanted) : all();
}

function all() {
  const [list, pools] = [h("div", null, busy()), h("div", null, busy())];
  const load = () => {
    fill(list, async () => services_(await live.ask("services")));
    fill(pools, async () => pools_((await live.ask("pools")).items));
  };
  const clock = setInterval(() => !document.hidden && !live.state.lost && load(), 5000);
  load();
  return { title: "Services", content: h("div.services", null, section("Addresses", list), section("Pools", pools)), leave: () => clearInterval(clock) };
}

function verdict({ reason: code, told, wanted }) {
  if (code === "advertised") return told === wanted ? "good" : "degraded";
  return told ? "degraded" : "bad";
}

function services_(items) {
  if (!items.length) return empty("No address is announced from here.", "Services of type LoadBalancer need the role `vip`; addresses without Kubernetes are written under `vips.services`.");
  const order = { bad: 0, degraded: 1, good: 2 };
  items.sort((a, b) => order[verdict(a)] - order[verdict(b)] || (label(a) < label(b) ? -1 : 1));
  const columns = [{ title: "Service" }, { title: "State" }, { title: "Addresses", class: "mono" }, { title: "Announced to" }, { title: "Pool", class: "p2" }, { title: "Nodes", class: "p2" }];
  const row = (service) => {
    const health = verdict(service);
    return [
      h("a", { href: `#/services/${encodeURIComponent(label(service))}` }, label(service)),
      h("span.state", { title: service.remedy ?? null }, glyph(health), reason(service.reason)),
      service.addresses.map((address) => h("a.block", { href: `#/lookup/${address}` }, address)),
      [h("b.tally", null, `${number(service.told)}/${number(service.wanted)}`), " ", peers(service)],
      service.pool ?? "–",
      service.nodes.join(" ") || "–",
    ];
  };
  return table("Services and where their addresses are announced", columns, items.map(row));
}

const peers = (service) => chips(service, service.told === service.wanted && service.wanted > service.peers.length ? service.peers.slice(0, 4) : service.peers);

const chips = (service, shown) => h("span.peers", null, shown.map((peer) => h("a", { href: to(peer.address), class: peer.advertised ? "yes" : "no", title: reason(peer.reason) }, peer.advertised ? null : glyph("bad"), peer.name)), service.wanted > shown.length ? h("span", null, `and ${number(service.wanted - shown.length)} more`) : null);

function pools_(items) {
  if (!items.length) return empty("There are no pools.");
  const columns = [{ title: "Pool" }, { title: "Addresses", class: "mono text" }, { title: "Used" }, { title: "Services", number: true, class: "p2" }, { title: "Advertisements", class: "p2" }];
  const row = (pool) => [
    [pool.valid ? null : glyph("bad"), pool.valid ? null : " ", pool.name].filter(Boolean),
    pool.valid ? pool.addresses.join(", ") : pool.problems.join("; "),
    pool.families.map(usage),
    number(pool.services),
    pool.advertisements.length ? pool.advertisements.join(" ") : [glyph("degraded"), " none"],
  ];
  return table("Pools and how full they are", columns, items.map(row));
}

function usage(family) {
  const share = family.total ? family.used / family.total : 0;
  const health = family.free === 0 ? "bad" : share >= 0.9 ? "degraded" : "good";
  const bar = h("span.bar", { class: `bar ${health}` }, h("i"));
  bar.firstChild.style.width = `${Math.min(100, Math.max(share * 100, family.used ? 2 : 0))}%`;
  const words = family.free === 0 ? "full" : `${number(family.free)} free`;
  return h("div.usage", null, bar, h("span", null, `${family.family === "ipv6-unicast" ? "IPv6" : "IPv4"} ${number(family.used)} of ${number(family.total)}`, h("span.more", null, ` · ${words}`)));
}

function one(wanted) {
  const place = h("div", null, busy());
  fill(place, async () => {
    const query = `service=${encodeURIComponent(wanted)}`;
    const [items, trace] = await Promise.all([live.ask(`services?${query}`), live.ask(`explain?${query}`)]);
    const columns = [{ title: "Neighbor" }, { title: "Address", class: "mono" }, { title: "Announced" }, { title: "Reason" }];
    const row = (peer) => [h("a", { href: to(peer.address) }, peer.name), peer.address, [glyph(peer.advertised ? "good" : "bad"), peer.advertised ? " yes" : " no"], reason(peer.reason)];
    const told = items.flatMap((service) => service.peers);
    return [traced(trace), section("Announced to", told.length ? table("Neighbors that are to get it", columns, told.map(row)) : empty("No neighbor is to get it."))];
  });
  return { title: wanted, content: h("div", null, h("p.back", null, h("a", { href: "#/services" }, "All services")), place) };
}

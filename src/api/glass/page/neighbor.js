// One neighbor: its session, what went wrong, what both sides can do, its routes, what happened to it.

import { h, glyph, table, facts, section, fill, empty, busy } from "./dom.js";
import { number, duration, bytes, moment, seconds, STATES, TYPES, FAMILIES } from "./words.js";
import { sign } from "./neighbors.js";
import { routes } from "./routes.js";
import { traced } from "./lookup.js";
import * as live from "./live.js";

const VIEWS = [
  ["in", "Received", "The neighbor announces nothing."],
  ["filtered", "Filtered", "Nothing was rejected."],
  ["out", "Advertised", "Nothing is announced to the neighbor."],
];

export function neighbor(id) {
  const head = h("div");
  const past = h("div", null, busy());
  const tabs = routesOf(id);
  let known = null;
  let key = id;

  async function refresh() {
    const detail = await live.ask(`neighbors/${encodeURIComponent(id)}`);
    const down = detail.state !== "established";
    const trace = down ? await live.ask(`explain?neighbor=${encodeURIComponent(id)}`) : null;
    fill(past, async () => story((await live.ask(`neighbors/${encodeURIComponent(id)}/history`)).entries));
    key = detail.address ?? detail.interface ?? id;
    const title = detail.name ?? key;
    if (head.isConnected) {
      document.querySelector("h1").replaceChildren(...heading(title, key));
      document.title = `${title} · kubgp looking glass`;
    }
    return page(detail, trace);
  }

  const show = () => fill(head, refresh);
  // Counters move between changes of the row; a look now and then is enough for them.
  const clock = setInterval(() => !document.hidden && !live.state.lost && show(), 5000);
  const stop = live.watch((changed) => {
    const row = live.state.rows.get(key);
    if (known && changed.has(key) && row !== known) show();
    known = row ?? known;
  });
  known = live.state.rows.get(id) ?? null;
  head.append(busy());
  show();
  return {
    title: known?.name ?? id,
    heading: heading(known?.name ?? id, id),
    content: h("div.neighbor", null, h("p.back", null, h("a", { href: "#/neighbors" }, "All neighbors")), head, section("History", past), section("Routes", tabs)),
    leave: () => {
      stop();
      clearInterval(clock);
    },
  };
}

const heading = (title, id) => [title, ...(title === id ? [] : [h("span.sub.mono", null, id)])];

function page(n, trace) {
  const row = live.state.rows.get(n.address ?? n.interface ?? n.name) ?? { ...n, health: n.state === "established" ? "good" : n.admin === "down" ? "off" : "bad" };
  return [
    h("div.headline", null, sign(row), h("span.for", null, n.upForSeconds !== undefined ? `for ${duration(n.upForSeconds)}` : `down for ${duration(n.downForSeconds)}`), h("span.what", null, `${TYPES[n.type] ?? n.type} · AS ${n.remoteAsn ?? "not known yet"}`), n.description ? h("span.what", null, n.description) : null),
    row.health === "degraded" && row.error ? h("div.notice.degraded", null, h("p", null, glyph("degraded"), " ", h("strong", null, row.error))) : null,
    trace ? traced(trace, `The session is down: ${trace.steps.find((step) => step.verdict === "block")?.text ?? trace.reason}`) : trouble(n),
    section("Prefixes", families(n)),
    h("div.columns", null, section("Session", session(n)), section("Timers", timers(n)), section("Messages", messages(n))),
    section("Capabilities", capabilities(n.capabilities)),
  ].filter(Boolean);
}

// Why a session that is up was down before.
function trouble(n) {
  const errors = [];
  if (n.lastError) errors.push({ ...n.lastError, title: `${{ received: "Received ", sent: "Sent " }[n.lastError.direction] ?? ""}${n.lastError.text}` });
  if (n.lastTcpError) errors.push({ ...n.lastTcpError, title: `TCP: ${n.lastTcpError.text}` });
  if (!errors.length) return null;
  errors.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const said = errors.map((error) => h("p", null, h("strong", null, error.title), error.message ? h("q", null, error.message) : null, " ", h("time", { datetime: error.at, title: error.at }, moment(error.at))));
  return h("div.notice.past", null, h("p.hint", null, "Before this session"), said);
}

function families(n) {
  const columns = ["Family", "Received", "Accepted", "Filtered", "Best", "Advertised", "Stale", "Limit", "End-of-RIB", "Graceful restart"];
  const numbers = new Set(["Received", "Accepted", "Filtered", "Best", "Advertised", "Stale", "Limit"]);
  const limit = (f) => (f.limit ? [f.limit.hit ? glyph("degraded") : null, f.limit.hit ? " reached: " : null, number(f.limit.max)].filter(Boolean) : "–");
  const end = (f) => [f.eorReceived ? "received" : "", f.eorSent ? "sent" : ""].filter(Boolean).join(", ") || "–";
  const line = (f) => [`${FAMILIES[f.family] ?? f.family}${n.state === "established" && !f.negotiated ? " (not negotiated)" : ""}`, number(f.received), number(f.accepted), number(f.filtered), number(f.best), number(f.advertised), number(f.stale), limit(f), end(f), f.gr];
  return table("Prefixes by family", columns.map((title) => ({ title, number: numbers.has(title) })), n.families.map(line));
}

function session(n) {
  return facts([
    ["Local", [n.localAddress, `AS ${n.localAsn}`].filter(Boolean).join(" · ")],
    ["Remote", [`${n.address ?? n.interface} port ${n.port}`, n.routerId ? `ID ${n.routerId}` : ""].filter(Boolean).join(" · ")],
    ["Group", n.group],
    ["Accepted from a range", n.dynamic ? "yes" : null],
    ["Authentication", n.auth === "none" ? "none" : n.auth.toUpperCase()],
    ["TTL security", n.ttlSecurity ? `${n.ttlSecurity} hop${n.ttlSecurity === 1 ? "" : "s"}` : null],
    ["Multihop", n.multihop ? `TTL ${n.multihop}` : null],
    ["BFD", n.bfd ? `${n.bfd.state} (${n.bfd.profile})` : null],
    ["Round trip", n.tcp?.rttSeconds ? `${(n.tcp.rttSeconds * 1000).toFixed(2)} ms` : null],
    ["Established", `${n.establishedCount === 1 ? "once" : `${number(n.establishedCount)} times`}, lost ${n.droppedCount === 1 ? "once" : number(n.droppedCount)}`],
    ["Waiting to be sent", n.queues.outBytes ? bytes(n.queues.outBytes) : null],
  ]);
}

function timers({ timers: t }) {
  return facts([
    ["Hold time", t.holdSeconds === undefined ? null : t.holdSeconds ? `${seconds(t.holdSeconds)} negotiated` : "off"],
    ["Configured", seconds(t.configuredHoldSeconds)],
    ["Keepalive", t.keepaliveSeconds === undefined ? null : `every ${seconds(t.keepaliveSeconds)}`],
    ["Hold expires in", seconds(t.holdExpiresInSeconds)],
    ["Connect again in", seconds(t.connectRetryInSeconds)],
    ["Held back for", seconds(t.idleHoldInSeconds)],
  ]);
}

function messages({ messages: m }) {
  const kinds = [["open", "OPEN"], ["update", "UPDATE"], ["notification", "NOTIFICATION"], ["keepalive", "KEEPALIVE"], ["routeRefresh", "ROUTE-REFRESH"], ["total", "Total"]];
  const columns = [{ title: "Message" }, { title: "Sent", number: true }, { title: "Received", number: true }];
  const rows = kinds.map(([kind, title]) => [title, number(m.sent[kind]), number(m.received[kind])]);
  const malformed = m.malformed ? h("p.hint", null, `Malformed attributes: ${number(m.malformed.discarded)} discarded, ${number(m.malformed.treatedAsWithdraw)} treated as withdrawn.`) : null;
  return h("div", null, table("Messages", columns, rows), malformed);
}

function capabilities({ local, remote, negotiated }) {
  const key = (c) => `${String(c.code).padStart(3, "0")} ${c.name === "multiprotocol" || c.name === "unknown" ? (c.value ?? "") : ""}`;
  const sides = [local, remote, negotiated].map((list) => new Map((list ?? []).map((c) => [key(c), c])));
  const keys = [...new Set(sides.flatMap((side) => [...side.keys()]))].sort();
  if (!keys.length) return empty("Nothing was exchanged yet.");
  const name = (c) => c.name.replace(/([A-Z])/g, " $1").toLowerCase();
  const cell = (c) => (c ? [glyph("good"), " ", c.name === "multiprotocol" || !c.value ? "yes" : c.value] : h("span.no", null, "no"));
  const line = (k) => {
    const any = sides.map((side) => side.get(k)).find(Boolean);
    return [any.name === "multiprotocol" ? `multiprotocol ${any.value}` : `${name(any)} (${any.code})`, ...sides.map((side) => cell(side.get(k)))];
  };
  return table("Capabilities", ["Capability", "We offer", "They offer", "In use"].map((title) => ({ title })), keys.map(line));
}

function story(entries) {
  if (!entries.length) return empty("The session has not changed since the neighbor was configured.");
  const health = (e) => (e.to === "established" ? "good" : e.from === "established" || e.error ? "bad" : "note");
  const text = (e) => [h("b", null, `${STATES[e.from] ?? e.from} → ${STATES[e.to] ?? e.to}`), " ", e.reason, e.error?.message ? h("q", null, e.error.message) : null, e.tcpError ? h("span.hint", null, ` ${e.tcpError}`) : null];
  return h("ol.events", null, [...entries].reverse().map((e) => h("li", null, h("time", { datetime: e.at, title: e.at }, moment(e.at)), glyph(health(e)), h("span", null, text(e)))));
}

// The three views, loaded when they are asked for.
function routesOf(id) {
  const panel = h("div", { role: "tabpanel", id: "routes-panel", tabindex: "0" }, h("p.hint", null, "Choose a view."));
  const select = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", tab.id);
    const [view, , none] = VIEWS[tabs.indexOf(tab)];
    panel.replaceChildren(routes(view, `&neighbor=${encodeURIComponent(id)}`, none));
  };
  const tabs = VIEWS.map(([view, title], at) => h("button", { type: "button", role: "tab", id: `tab-${view}`, "aria-controls": panel.id, "aria-selected": "false", tabindex: at ? "-1" : "0", onclick: (event) => select(event.currentTarget) }, title));
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
    next.focus();
    select(next);
  };
  return h("div", null, h("div.tabs", { role: "tablist", "aria-label": "Routes", onkeydown: move }, tabs), panel);
}

// The daemon at a glance: what is wrong comes first.

import { h, glyph, section, fill, empty, prose, replace } from "./dom.js";
import { number, bytes, duration, moment, FAMILIES } from "./words.js";
import { SessionMap } from "./map.js";
import { sign, to } from "./neighbors.js";
import * as live from "./live.js";

const WORST = 6;
const EVENTS = 12;

export function overview() {
  const stats = h("ul.stats");
  const notes = h("div.notes");
  const map = new SessionMap();
  const sessions = h("div");
  const events = h("div");
  let asked = 0;

  function refresh(changed) {
    const { summary, rows } = live.state;
    if (!summary) return;
    numbers(stats, summary, rows);
    replace(notes, warnings(summary), down(rows));
    if (changed.size || !sessions.firstChild) {
      map.draw();
      const none = empty("No neighbors yet.", "Write them under `neighbors` or `dynamicNeighbors` of the configuration.");
      const content = rows.size ? map.element : none;
      if (sessions.firstChild !== content) sessions.replaceChildren(content);
    }
    // Events tell why something changed; without a change they are asked for now and then.
    if (!live.state.lost && (changed.size || Date.now() - asked > 15000)) {
      asked = Date.now();
      fill(events, news);
    }
  }

  const stop = live.watch(refresh);
  if (live.state.summary) queueMicrotask(() => refresh(new Set(live.state.rows.keys())));
  const legend = h("p.legend", null, ["good", "degraded", "bad", "off"].map((health) => h("span", null, glyph(health), { good: "up", degraded: "degraded", bad: "down", off: "switched off" }[health])));
  return { title: "Overview", content: h("div.overview", null, stats, notes, h("div.glance", null, section("Sessions", legend, sessions), section("Recent events", events))), leave: stop };
}

function numbers(place, summary, rows) {
  const { established, total, down, adminDown } = summary.neighbors;
  const all = [...rows.values()];
  const sum = (field) => all.reduce((count, row) => count + row[field], 0);
  const rest = [];
  if (down) rest.push(h("span", null, glyph("bad"), `${number(down)} down`));
  if (adminDown) rest.push(h("span", null, glyph("off"), `${number(adminDown)} off`));
  if (!rest.length) rest.push(total ? "all of them" : "none configured");
  const cells = [
    ["Sessions up", [number(established), h("small", null, ` / ${number(total)}`)], rest],
    ...summary.rib.map((rib) => [`${FAMILIES[rib.family] ?? rib.family} prefixes`, number(rib.prefixes), `${number(rib.paths)} paths`]),
    ["Received", number(sum("received")), `${number(sum("filtered"))} filtered`],
    ["Advertised", number(sum("advertised")), "to all together"],
    ["Memory", bytes(summary.residentBytes), "resident"],
    ["Configuration", `#${summary.configGeneration}`, summary.configError ? h("span", null, glyph("degraded"), "newest one rejected") : `loaded ${moment(summary.configLoadedAt)}`],
  ];
  const items = cells.map(([title, value, more]) => h("li", null, h("span.title", null, title), h("b", null, value), h("span.more", null, more)));
  replace(place, items);
}

// What the operator should know before anything else.
function warnings(summary) {
  const notes = [];
  const note = (health, title, text) => notes.push(h(`div.notice.${health}`, null, h("p", null, glyph(health), " ", h("strong", null, prose(title))), text ? h("p", null, text) : null));
  if (summary.configError) note("degraded", "The newest configuration was rejected; the former one runs.", summary.configError);
  if (summary.confirmWithinSeconds !== undefined) note("degraded", `A reload waits for \`bgpctl confirm\` and is undone in ${duration(summary.confirmWithinSeconds)}.`);
  if (summary.drainState) {
    const left = summary.drainState.remainingSeconds;
    const text = summary.drainState.stage === "left" ? "Our prefixes are withdrawn." : `Our prefixes carry GRACEFUL_SHUTDOWN${left === undefined ? "" : ` and are withdrawn in ${duration(left)}`}.`;
    note("degraded", "This node is drained.", text);
  }
  return notes;
}

// The sessions that should be up and are not, newest first.
function down(rows) {
  const bad = [...rows.values()].filter((row) => row.health === "bad").sort((a, b) => Date.parse(b.since) - Date.parse(a.since));
  if (!bad.length) return [];
  const line = (row) => h("li", null, h("a", { href: to(row.id) }, row.name ?? row.id), row.name ? h("span.mono", null, row.id) : null, sign(row), h("span.for", null, duration(live.since(row.since))), h("span.why", null, row.error ?? ""));
  const more = bad.length > WORST ? h("p", null, h("a", { href: "#/neighbors?show=bad" }, `All ${number(bad.length)} that are down`)) : null;
  const title = bad.length === 1 ? "1 session is down" : `${number(bad.length)} sessions are down`;
  return [h("div.notice.bad", null, h("p", null, glyph("bad"), " ", h("strong", null, title)), h("ul.down", null, bad.slice(0, WORST).map(line)), more)];
}

async function news() {
  const { items } = await live.ask("events");
  if (!items.length) return empty("Nothing has happened yet.");
  const health = { sessionUp: "good", sessionDown: "bad", prefixLimit: "degraded", configRejected: "degraded", fibError: "bad" };
  const who = (event) => (event.peer ? h("a", { href: to(event.peer) }, event.name ?? event.peer) : null);
  return h("ol.events", null, items.slice(0, EVENTS).map((event) => h("li", null, h("time", { datetime: event.at, title: event.at }, moment(event.at)), glyph(health[event.type] ?? "note"), h("span", null, who(event), event.peer ? " " : null, event.message))));
}

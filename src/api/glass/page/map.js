// The session map: one cell for each neighbor, by group. Few neighbors are tiles with their names, many are small cells; problems
// are told from the others by their form as well as by their colour.

import { h, glyph } from "./dom.js";
import { number, STATES, HEALTH, TYPES } from "./words.js";
import { to } from "./neighbors.js";
import * as live from "./live.js";

const TILES = 48;

export class SessionMap {
  constructor() {
    this.element = h("div.map", { onkeydown: (event) => this.move(event) });
    this.cells = new Map();
    this.groups = new Map();
    this.hint = h("p.hint", null, "The arrow keys go from session to session.");
  }

  draw() {
    const rows = [...live.state.rows.values()];
    const dense = rows.length > TILES;
    if (dense !== this.dense) {
      this.dense = dense;
      this.cells.clear();
      this.element.classList.toggle("dense", dense);
    }
    const groups = new Map();
    for (const row of rows) {
      const name = row.group ?? `${TYPES[row.type] ?? row.type} · AS ${row.asn ?? "?"}`;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(row);
    }
    const names = [...groups.keys()].sort((a, b) => groups.get(b).length - groups.get(a).length || (a < b ? -1 : 1));
    const kept = new Map();
    const parts = names.map((name) => this.group(name, groups.get(name), kept));
    this.cells = kept;
    for (const name of [...this.groups.keys()]) if (!groups.has(name)) this.groups.delete(name);
    const shown = dense ? [...parts, this.hint] : parts;
    if (shown.length !== this.element.children.length || shown.some((part, at) => part !== this.element.children[at])) {
      this.element.replaceChildren(...shown);
    }
    this.stop();
  }

  group(name, rows, kept) {
    if (!this.groups.has(name)) {
      const count = h("span.count");
      const list = h("ul");
      this.groups.set(name, { count, list, element: h("section", null, h("h3", null, name, " ", count), list) });
    }
    const { count, list, element } = this.groups.get(name);
    const up = rows.filter((row) => row.state === "established").length;
    const text = `${number(up)} of ${number(rows.length)} up`;
    if (count.textContent !== text) count.textContent = text;
    rows.sort((a, b) => (a.order < b.order ? -1 : 1));
    const items = rows.map((row) => {
      const old = this.cells.get(row.id);
      const cell = old?.row === row ? old : this.cell(row, old);
      kept.set(row.id, cell);
      return cell.item;
    });
    if (items.length !== list.children.length || items.some((item, at) => item !== list.children[at])) list.replaceChildren(...items);
    return element;
  }

  cell(row, old) {
    const link = old?.link ?? h("a", { href: to(row.id), "data-id": row.id });
    const state = STATES[row.state] ?? row.state;
    const label = row.name ?? row.id;
    link.className = row.health;
    link.setAttribute("title", `${label} · ${row.id} · ${state}${row.error ? ` · ${row.error}` : ""}`);
    if (this.dense) {
      link.setAttribute("aria-label", `${label}, ${state}${row.health === "degraded" ? `, ${HEALTH.degraded}` : ""}`);
      link.replaceChildren(...(row.health === "good" ? [] : [glyph(row.health)]));
    } else {
      const counts = row.health === "good" ? `${number(row.received)} in · ${number(row.advertised)} out` : (row.error ?? state);
      link.replaceChildren(h("span.top-line", null, glyph(row.health), h("b", null, label)), h("span.line", null, row.name ? row.id : state), h("span.line", null, counts));
    }
    return { row, link, item: old?.item ?? h("li", null, link) };
  }

  // One stop for the Tab key.
  stop() {
    const links = [...this.element.querySelectorAll("a")];
    const current = links.find((link) => link.dataset.id === this.current) ?? links[0];
    for (const link of links) {
      const index = link === current ? 0 : -1;
      if (link.tabIndex !== index || !link.hasAttribute("tabindex")) link.tabIndex = index;
    }
  }

  move(event) {
    const links = [...this.element.querySelectorAll("a")];
    const at = links.indexOf(event.target);
    if (at < 0) return;
    const top = links[at].getBoundingClientRect().top;
    const row = links.filter((link) => Math.abs(link.getBoundingClientRect().top - top) < 2).length || 1;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, Home: -links.length, End: links.length };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = links[Math.min(links.length - 1, Math.max(0, at + steps[event.key]))];
    this.current = next.dataset.id;
    this.stop();
    next.focus();
  }
}

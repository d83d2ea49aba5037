// A table of many live rows: sorted by any column, drawn only where it is seen, one stop for the Tab key.

import { h } from "./dom.js";

const ALL = 300;
const BEYOND = 15;

// columns: { id, title, number, class, sort(row), cell(row), ticks }; key(row) names a row. Where rows are alike in the column that
// they are sorted by, their `order` decides.
export class Grid {
  constructor({ caption, columns, key, sort, onsort }) {
    Object.assign(this, { columns, key, onsort, sort: sort ?? { id: columns[0].id, down: false } });
    this.view = [];
    this.lines = new Map();
    this.height = 33;
    this.current = null;
    this.heads = columns.map((column) => this.head(column));
    this.body = h("tbody", { onkeydown: (event) => this.move(event), onfocusin: (event) => this.focused(event) });
    this.table = h("table.grid", null, h("caption", null, h("span.quiet", null, caption)), h("thead", null, h("tr", null, this.heads)), this.body);
    this.above = h("tr.space", { "aria-hidden": "true" }, h("td"));
    this.below = this.above.cloneNode(true);
    this.scrolled = () => {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.draw();
      });
    };
    addEventListener("scroll", this.scrolled, { passive: true });
    addEventListener("resize", this.scrolled, { passive: true });
    this.clock = setInterval(() => this.tick(), 1000);
  }

  close() {
    removeEventListener("scroll", this.scrolled);
    removeEventListener("resize", this.scrolled);
    clearInterval(this.clock);
  }

  head(column) {
    const press = () => {
      const down = this.sort.id === column.id ? !this.sort.down : Boolean(column.number);
      this.sort = { id: column.id, down };
      this.onsort?.(this.sort);
      this.set(this.view);
    };
    const button = h("button", { type: "button", onclick: press }, column.title, h("span.arrow", { "aria-hidden": "true" }));
    return h("th", { scope: "col", class: `${column.number ? "number " : ""}${column.class ?? ""}` }, button);
  }

  // The rows to show, in any order.
  set(rows) {
    const { id, down } = this.sort;
    const column = this.columns.find((c) => c.id === id) ?? this.columns[0];
    const keyed = rows.map((row) => [column.sort(row), row]);
    const sign = down ? -1 : 1;
    keyed.sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : x.order < y.order ? -1 : 1));
    this.view = keyed.map(([, row]) => row);
    this.columns.forEach((c, at) => {
      const sorted = c === column ? (down ? "descending" : "ascending") : "none";
      if (this.heads[at].getAttribute("aria-sort") !== sorted) this.heads[at].setAttribute("aria-sort", sorted);
    });
    this.table.setAttribute("aria-rowcount", this.view.length + 1);
    this.draw();
  }

  // Which rows are near the window.
  range() {
    if (this.view.length <= ALL) return [0, this.view.length];
    const top = this.body.getBoundingClientRect().top;
    const first = Math.floor(-top / this.height) - BEYOND;
    const last = Math.ceil((innerHeight - top) / this.height) + BEYOND;
    const from = Math.min(Math.max(0, first), this.view.length);
    return [from, Math.min(this.view.length, Math.max(from, last))];
  }

  draw() {
    const active = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
    const [from, to] = this.range();
    const kept = new Map();
    const lines = [];
    for (let at = from; at < to; at += 1) {
      const row = this.view[at];
      const id = this.key(row);
      const line = this.lines.get(id) ?? { element: h("tr", { "data-id": id }), row: null };
      if (line.row !== row) this.write(line, row);
      line.element.setAttribute("aria-rowindex", at + 2);
      kept.set(id, line);
      lines.push(line.element);
    }
    this.lines = kept;
    this.space(this.above, from);
    this.space(this.below, this.view.length - to);
    this.place([...(from > 0 ? [this.above] : []), ...lines, ...(to < this.view.length ? [this.below] : [])]);
    const link = active !== undefined && kept.get(active)?.element.querySelector("a");
    if (link && link !== document.activeElement) link.focus({ preventScroll: true });
    this.stop();
    if (lines[0]?.offsetHeight) this.height = lines[0].offsetHeight;
  }

  // Puts the elements in order, and moves only what is elsewhere.
  place(elements) {
    let next = this.body.firstChild;
    for (const element of elements) {
      if (element === next) next = next.nextSibling;
      else this.body.insertBefore(element, next);
    }
    while (next) {
      const after = next.nextSibling;
      next.remove();
      next = after;
    }
  }

  space(line, rows) {
    line.firstChild.style.height = `${rows * this.height}px`;
  }

  write(line, row) {
    const cell = (column, at) => {
      const content = [column.cell(row)].flat().filter((part) => part !== null && part !== undefined);
      return h(at === 0 ? "th" : "td", { scope: at === 0 ? "row" : null, class: `${column.number ? "number " : ""}${column.class ?? ""}` }, content);
    };
    const cells = this.columns.map(cell);
    const texts = cells.map((now) => now.outerHTML);
    if (line.row === null) {
      line.element.append(...cells);
      line.element.className = row.health ?? "";
    } else {
      // Only what differs: the focus, and a reader of the screen, may be at the rest.
      cells.forEach((now, at) => texts[at] !== line.texts[at] && line.element.children[at].replaceWith(now));
      // Two names for one animation, so that it begins again.
      line.turn = line.turn ? 0 : 1;
      line.element.className = `${row.health ?? ""} changed-${line.turn}`;
    }
    line.row = row;
    line.texts = texts;
  }

  // Time goes on where nothing else changes.
  tick() {
    const ticking = this.columns.map((c, at) => [c, at]).filter(([c]) => c.ticks);
    for (const { element, row } of this.lines.values()) {
      for (const [column, at] of ticking) element.children[at].textContent = column.cell(row);
    }
  }

  // One stop for the Tab key: the row where the focus was, or the first.
  stop() {
    const rows = [...this.lines.keys()];
    const current = this.lines.has(this.current) ? this.current : rows[0];
    for (const [id, line] of this.lines) line.element.querySelector("a")?.setAttribute("tabindex", id === current ? "0" : "-1");
  }

  focused(event) {
    this.current = event.target.closest("tr")?.dataset.id ?? null;
    this.stop();
  }

  move(event) {
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 4);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.view.findIndex((row) => this.key(row) === this.current);
    const to = Math.min(this.view.length - 1, Math.max(0, at + step));
    if (at < 0 || to < 0) return;
    event.preventDefault();
    this.current = this.key(this.view[to]);
    this.show(to);
    this.lines.get(this.current)?.element.querySelector("a")?.focus({ preventScroll: true });
  }

  // Scrolls so that a row is seen, below the header that stays.
  show(at) {
    const top = this.body.getBoundingClientRect().top + at * this.height;
    const bar = this.table.tHead.offsetHeight + 8;
    if (top < bar) scrollBy(0, top - bar);
    else if (top + this.height > innerHeight) scrollBy(0, top + this.height - innerHeight + 8);
    this.draw();
  }
}

// Elements, one by one: what neighbors send us is text and never markup.

const SVG = "http://www.w3.org/2000/svg";

// h("a.name", { href, onclick }, children...): an element; null children are left out, others are texts or nodes.
export function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A sign of a state, beside a word that says the same.
export function glyph(health) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `glyph ${health}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#g-${health}`);
  svg.append(use);
  return svg;
}

// A plain table: columns are { title, number, class }, rows are lists of cells.
export function table(caption, columns, rows, attributes) {
  const head = h("tr", null, columns.map((c) => h("th", { scope: "col", class: classes(c) }, c.title)));
  const line = (cells) => {
    const first = (at) => (at === 0 && columns[0].head !== false ? "th" : "td");
    return h("tr", null, cells.map((cell, at) => h(first(at), { scope: first(at) === "th" ? "row" : null, class: classes(columns[at]) }, cell)));
  };
  const body = h("tbody", null, rows.map(line));
  return h("div.scroll", null, h("table", attributes, h("caption.quiet", null, caption), h("thead", null, head), body));
}

function classes(column) {
  return [column.number ? "number" : "", column.class ?? ""].join(" ").trim() || null;
}

// Names and values; pairs without value are left out.
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h("dl.facts", null, known.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

// A sentence with `words` in it that are typed or written somewhere.
export function prose(text) {
  return String(text).split("`").map((part, at) => (at % 2 ? h("kbd", null, part) : part));
}

export function section(title, ...content) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...content);
}

export function empty(text, hint) {
  return h("p.empty", null, text, hint ? [h("br"), h("span.hint", null, prose(hint))] : null);
}

// What failed, and what to do about it.
export function failure(problem) {
  return h("div.notice.bad", { role: "alert" }, h("p", null, glyph("bad"), " ", h("strong", null, prose(problem.title))), problem.detail ? h("p.remedy", null, prose(problem.detail)) : null);
}

export function busy() {
  return h("p.busy", { role: "status" }, "Loading …");
}

// Puts content into a place and leaves the reader where he is: the focus, how far tables are scrolled, what is unfolded. A text that
// is being selected stays until it is not.
export function replace(place, ...content) {
  const next = h("div", null, ...content);
  const selection = getSelection();
  const selecting = selection && !selection.isCollapsed && place.contains(selection.anchorNode);
  if (selecting || place.innerHTML === next.innerHTML) return;
  const all = (what) => [...place.querySelectorAll(what)];
  const focus = all(STOPS).indexOf(document.activeElement);
  const scrolled = all(".scroll").map((element) => element.scrollLeft);
  const open = all("details").map((element) => element.open);
  place.replaceChildren(...next.childNodes);
  all(".scroll").forEach((element, at) => (element.scrollLeft = scrolled[at] ?? 0));
  all("details").forEach((element, at) => (element.open = open[at] ?? false));
  if (focus >= 0) all(STOPS)[focus]?.focus({ preventScroll: true });
}

const STOPS = "a, button, input, summary";

// Puts what `load` promises into `place`, and only if nothing newer was put there meanwhile.
const latest = new WeakMap();
export async function fill(place, load) {
  const turn = (latest.get(place) ?? 0) + 1;
  latest.set(place, turn);
  place.setAttribute("aria-busy", "true");
  let content;
  try {
    content = await load();
  } catch (problem) {
    // What was known stays while the daemon is away; above it stands that it is.
    const known = place.firstElementChild && !place.firstElementChild.classList.contains("busy");
    if (problem.away && known) return place.removeAttribute("aria-busy");
    content = failure(problem.title ? problem : { title: String(problem.message ?? problem) });
  }
  if (latest.get(place) !== turn) return;
  place.removeAttribute("aria-busy");
  replace(place, content);
}

// Which view is shown, where the focus goes, and what stands above every view.

import { h, glyph, replace } from "./dom.js";
import { number, duration } from "./words.js";
import * as live from "./live.js";
import { overview } from "./overview.js";
import { neighbors } from "./neighbors.js";
import { neighbor } from "./neighbor.js";
import { lookup } from "./lookup.js";
import { services } from "./services.js";
import { kernel } from "./kernel.js";

const VIEWS = [
  [/^\/?$/, overview],
  [/^\/neighbors$/, neighbors],
  [/^\/neighbors\/(.+)$/, neighbor],
  [/^\/lookup(?:\/(.*))?$/, lookup],
  [/^\/services(?:\/(.+))?$/, services],
  [/^\/kernel$/, kernel],
];

const main = document.getElementById("main");
let leave = null;
let shown = null;

function route() {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const found = VIEWS.map(([pattern, view]) => [pattern.exec(path), view]).find(([match]) => match);
  const [match, view] = found ?? [[], () => ({ title: "No such view", content: h("p.empty", null, "There is nothing here.") })];
  leave?.();
  const made = view(...match.slice(1).map((part) => part && decodeURIComponent(part)), new URLSearchParams(query ?? ""));
  leave = made.leave ?? null;
  document.title = `${made.title} · kubgp looking glass`;
  main.replaceChildren(h("h1", { tabindex: "-1" }, made.heading ?? made.title), made.content);
  for (const link of document.querySelectorAll("#views a")) {
    const target = link.hash.slice(1);
    const current = target === "/" ? path === "/" : path === target || path.startsWith(`${target}/`);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // A reader of the screen hears the title of the new view; the first one is where the browser puts the focus.
  if (shown !== null && shown !== path) {
    main.querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = path;
}

function head() {
  const { summary, lost } = live.state;
  const status = document.getElementById("live");
  status.className = `live ${lost ? "lost" : "on"}`;
  replace(status, glyph(lost ? "bad" : "good"), lost ? " Disconnected" : " Live");
  document.body.classList.toggle("lost", Boolean(lost));
  alarm(lost);
  if (!summary) return;
  replace(
    document.getElementById("who"),
    h("span", null, "AS ", h("b", null, summary.asn)),
    h("span", null, "ID ", h("b", null, summary.routerId)),
    h("span.wide", null, "up ", h("b", null, duration(summary.uptimeSeconds))),
    h("span.wide", null, h("b", null, `${number(summary.neighbors.established)}/${number(summary.neighbors.total)}`), " sessions"),
  );
}

// Said once when it happens: an alert that changes with every attempt would be read out again and again.
function alarm(lost) {
  const place = document.getElementById("alarm");
  if (!lost) place.replaceChildren();
  else if (!place.firstChild) {
    const clock = lost.at.toLocaleTimeString([], { hour12: false });
    place.append(glyph("bad"), h("p", null, h("strong", null, lost.title), `: what you see is from ${clock}. Trying again.`));
  }
}

// Sessions that went down or came up are said to those who do not see it.
const states = new Map();
function news(changed) {
  const [up, down] = [[], []];
  for (const id of changed) {
    const row = live.state.rows.get(id);
    const is = row?.state === "established";
    if (states.has(id) && row && states.get(id) !== is) (is ? up : down).push(row.name ?? id);
    if (row) states.set(id, is);
    else states.delete(id);
  }
  const said = (names, what) => (names.length > 3 ? [`${number(names.length)} sessions are ${what}`] : names.map((name) => `${name} is ${what}`));
  const words = [...said(down, "down"), ...said(up, "up")];
  if (words.length) document.getElementById("news").textContent = words.join(", ");
}

addEventListener("hashchange", () => {
  if (location.hash !== "#main") route();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
live.watch(head);
live.watch(news);
route();
live.start();

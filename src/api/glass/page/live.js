// The connection to the daemon: all neighbors in short, kept up to date by asking what changed since the last answer.

import { addressKey } from "./words.js";

const EVERY = 1500;
const PATIENCE = 8000;

export const state = { rows: new Map(), summary: null, events: 0, lost: null, skew: 0 };

const watchers = new Set();
let version = null;
let timer = 0;

// Calls back after each answer with the ids that changed, and when the connection comes or goes (then without ids).
export function watch(callback) {
  watchers.add(callback);
  return () => watchers.delete(callback);
}

// JSON of the daemon, or a problem with title and detail.
export async function ask(path) {
  let answer;
  try {
    answer = await fetch(`/lg/v1/${path}`, { signal: AbortSignal.timeout(PATIENCE * 2), cache: "no-store" });
  } catch {
    throw { away: true, title: "the daemon does not answer", detail: "it may be restarting; this page keeps trying" };
  }
  const body = await answer.json().catch(() => ({ title: `unexpected answer (${answer.status})` }));
  if (!answer.ok) throw { status: answer.status, ...body };
  return body;
}

// Seconds since a moment of the daemon's clock.
export const since = (text) => (Date.now() + state.skew - Date.parse(text)) / 1000;

export function start() {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) poll();
  });
  poll();
}

async function poll() {
  clearTimeout(timer);
  try {
    take(await board());
  } catch (problem) {
    lose(problem);
  }
  // Nobody looks at a page in the background.
  if (!document.hidden) timer = setTimeout(poll, EVERY);
}

async function board() {
  const query = version ? `?since=${encodeURIComponent(version)}` : "";
  const answer = await fetch(`/lg/v1/board${query}`, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (!answer.ok) throw (await answer.json().catch(() => null)) ?? { title: `the daemon answers ${answer.status}` };
  return answer.json();
}

function take(page) {
  const changed = new Set(page.rows.map((row) => row.id));
  if (page.full) {
    for (const id of state.rows.keys()) changed.add(id);
    state.rows.clear();
  }
  for (const row of page.rows) state.rows.set(row.id, { ...row, order: addressKey(row.id) });
  for (const id of page.gone) {
    state.rows.delete(id);
    changed.add(id);
  }
  version = page.version;
  state.summary = page.summary;
  state.skew = Date.parse(page.at) - Date.now();
  state.lost = null;
  tell(changed);
}

function lose(problem) {
  state.lost ??= { at: new Date(), title: problem?.status ? problem.title : "The daemon does not answer" };
  tell(new Set());
}

function tell(changed) {
  for (const callback of [...watchers]) callback(changed);
}

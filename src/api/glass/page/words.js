// Numbers, times and states as people read them; the same as bgpctl writes.

const NUMBERS = new Intl.NumberFormat("en-US");

export const number = (value) => (value === undefined || value === null ? "–" : NUMBERS.format(value));

export const STATES = { idle: "Idle", connect: "Connect", active: "Active", openSent: "OpenSent", openConfirm: "OpenConfirm", established: "Established" };

export const HEALTH = { good: "up", degraded: "degraded", off: "switched off", bad: "down" };

export const TYPES = { ebgp: "eBGP", ibgp: "iBGP", "rr-client": "RR client" };

export const FAMILIES = { "ipv4-unicast": "IPv4", "ipv6-unicast": "IPv6" };

// `00:01:12` below a day, `3d04h` from then on.
export function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  const all = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (all >= 86400) return `${Math.floor(all / 86400)}d${two(Math.floor(all / 3600) % 24)}h`;
  return `${two(Math.floor(all / 3600))}:${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
}

export function bytes(count) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  }
  return `${count} B`;
}

export const seconds = (value) => (value === undefined || value === null ? null : `${Math.round(value * 10) / 10} s`);

// Local time of the reader; the full date is the title.
export function moment(text) {
  const at = new Date(text);
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return new Date().toDateString() === at.toDateString() ? clock : `${day} ${clock}`;
}

// Bytes of an address in an order in which 10.0.0.9 comes before 10.0.0.10.
export function addressKey(text) {
  if (!text) return "";
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (v4) return `4${v4.slice(1).map((part) => part.padStart(3, "0")).join(".")}`;
  if (!text.includes(":")) return `9${text}`;
  const [head, tail] = text.split("%")[0].split("/")[0].split("::");
  const left = head ? head.split(":") : [];
  const right = tail ? tail.split(":") : [];
  const middle = tail === undefined ? [] : Array(Math.max(0, 8 - left.length - right.length)).fill("0");
  return `6${[...left, ...middle, ...right].map((part) => part.padStart(4, "0")).join(":")}`;
}

export const asPath = (entry) => entry.asPathText ?? entry.asPath.join(" ");

// Our reasons are words run together: `noSession` reads as "no session".
export const reason = (code) => (code ? code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase() : "");

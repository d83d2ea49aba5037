"""Medians of runs, as tables in bench/RESULTS.md and as figures."""

import json
import statistics

import goals
import plots

ORDER = ["floor", "kubgpd", "kubgpd-1", "kubgpd-2", "bird2", "bird3", "frr", "frr10", "gobgp"]

HEAD = """# Results

Written by `bench/compare --record` from `bench/results.jsonl`; see `bench/compare --help`. Time runs from the first announcement until
the last receiver holds the whole verified table (`cold`: from the first connection; `storm`: from the moment all sessions drop), CPU
and memory are the daemon's, every figure is the median of the rounds. *Floor* is a plain epoll server that passes the same bytes on to
the same sockets and does nothing else; "× floor" compares with the floor of the same run. Compare within a table, not across machines.
A daemon that ended with a wrong table, lost sessions or late keepalives has no time, whatever it took.
"""

SECTIONS = {
    "mesh": "Mesh: every client announces its prefixes at once",
    "cold": "Cold start: from no session to everybody's routes",
    "table": "Full table: senders to receivers",
    "policy": "Policy on every route, in and out: a list of 200 prefixes, communities, AS paths, LOCAL_PREF set",
    "churn": "Churn: one prefix announced and withdrawn in turn, from write to each receiver's read",
    "storm": "Storm: all sessions drop at once, nine in ten come back",
    "rewrite": "Rewrite: every route changes many times without a pause, the last state has to stay",
    "slow": "Slow receivers: one in ten reads 1 kB/s (`slow-…-none`: the same without them); time of the others",
    "idle": "Idle: established sessions, nothing to do",
    "hold": "Under load with a hold time of 6 s",
    "fib": "Kernel routes",
}


def headline(run):
    """One run in one line."""
    if run["verdict"] != "ok":
        return f"{run['verdict'].upper()}: {'; '.join(run.get('complaints', []))[:200]}"
    text = f"{run['seconds']:.3f} s  {run['cpu_seconds']:.3f} s CPU  {run['peak_rss_kib'] / 1024:.1f} MB"
    for way in ("announce", "withdraw"):
        if way in run:
            text += f"  {way} {run[way]['p50_ms']:.1f}/{run[way]['p99_ms']:.1f}/{run[way]['max_ms']:.1f} ms"
    if "routes_per_second" in run:
        text += f"  {run['routes_per_second']:.0f} routes/s, {run['changes']} changes {run['removed_seconds']:.3f} and {run['restored_seconds']:.3f} s"
    if "messages_encoded" in run:
        text += f"  {run['messages_encoded']:.0f} encoded"
    return text


def summarize(runs):
    """One result for each case and daemon: medians over the good rounds."""
    results, kinds = [], {}
    for run in runs:
        kinds.setdefault((run["case"], run["daemon"]), []).append(run)
    for (case, daemon), mine in kinds.items():
        good = [run for run in mine if run["verdict"] == "ok"]
        bad = sorted({run["verdict"] for run in mine} - {"ok"})
        result = {key: mine[0][key] for key in ("case", "daemon", "version", "date", "machine", "command")} | {"rounds": len(mine)}
        result["note"] = ", ".join(f"{verdict} in {sum(run['verdict'] == verdict for run in mine)} of {len(mine)}" for verdict in bad)
        for key in FIGURES:
            if good and all(run.get(key) is not None for run in good):
                result[key] = round(statistics.median(run[key] for run in good), 4)
        for way in ("announce", "withdraw"):
            if good and all(way in run for run in good):
                result[way] = {key: round(statistics.median(run[way][key] for run in good), 3) for key in ("p50_ms", "p99_ms", "max_ms")}
        results.append(result)
    floors = {result["case"]: result.get("seconds") for result in results if result["daemon"] == "floor"}
    for result in results:
        if floors.get(result["case"]) and "seconds" in result:
            result["times_floor"] = round(result["seconds"] / floors[result["case"]], 2)
    return results


# What is kept of a run beside its latencies.
FIGURES = (
    "seconds", "cpu_seconds", "peak_rss_kib", "cpu_seconds_per_minute", "longest_silence_seconds", "messages_encoded", "journal_bytes",
    "routes_per_second", "removed_seconds", "restored_seconds", "kernel_operations",
)  # fmt: skip


def table(case, arguments, results):
    """The results of one case as a Markdown table."""
    mine = sorted((result for result in results if result["case"] == case), key=lambda result: ORDER.index(result["daemon"]))
    columns = COLUMNS.get(arguments[0], TIMED)
    if "--policy" in arguments:
        arguments = [word for word in arguments if word != "--policy"]
    lines = [f"**{case}** (`kubgp-load {' '.join(arguments)}`)\n", f"| daemon | {' | '.join(name for name, _ in columns)} | note |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for result in mine:
        cells = [get(result) if "cpu_seconds" in result else "–" for _, get in columns]
        lines.append(f"| {result['daemon']} | {' | '.join(cells)} | {result['note']} |")
    return "\n".join(lines) + "\n"


def number(key, digits, divisor=1):
    return lambda result: f"{result[key] / divisor:.{digits}f}" if result.get(key) is not None else "–"


def latencies(way):
    return lambda result: " / ".join(f"{result[way][key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms"))


COST = [("CPU s", number("cpu_seconds", 3)), ("peak RSS MB", number("peak_rss_kib", 1, 1024))]
TIMED = [("time s", number("seconds", 3)), ("× floor", number("times_floor", 1)), *COST]
COLUMNS = {
    "churn": [(f"{way} p50 / p99 / max ms", latencies(way)) for way in ("announce", "withdraw")] + COST,
    "storm": [*TIMED, ("messages encoded", number("messages_encoded", 0))],
    "slow": [*TIMED, ("journal kB", number("journal_bytes", 0, 1000))],
    "rewrite": [*TIMED, ("journal kB", number("journal_bytes", 0, 1000))],
    "idle": [("CPU s a minute", number("cpu_seconds_per_minute", 2)), COST[1], ("longest silence s", number("longest_silence_seconds", 1))],
    "fib": [
        ("time s", number("seconds", 3)),
        ("routes/s", number("routes_per_second", 0)),
        ("100 removed s", number("removed_seconds", 3)),
        ("100 restored s", number("restored_seconds", 3)),
        *COST,
    ],
}


def record(root, cases, results):
    """Puts these results in the place of those of the same cases and daemons."""
    fresh = {(result["case"], result["daemon"]) for result in results}
    kept = [result for result in load(root) if (result["case"], result["daemon"]) not in fresh]
    rank = list(cases)
    everything = [result for result in kept + results if result["case"] in cases]
    everything.sort(key=lambda result: (rank.index(result["case"]), ORDER.index(result["daemon"])))
    path(root).write_text("".join(json.dumps(result, ensure_ascii=False) + "\n" for result in everything))
    write(root, cases)


def path(root):
    return root / "bench" / "results.jsonl"


def load(root):
    return [json.loads(line) for line in path(root).read_text().splitlines()] if path(root).exists() else []


def write(root, cases):
    """RESULTS.md and the figures, from what is recorded."""
    results = load(root)
    text = HEAD + "\n" + origin(results) + goals.section(results)
    for section, title in SECTIONS.items():
        names = [name for name in cases if name.split("-")[0] == section and any(result["case"] == name for result in results)]
        if names:
            text += f"\n## {title}\n\n" + "\n".join(table(name, cases[name], results) for name in names)
    (root / "bench" / "RESULTS.md").write_text(text)
    plots.write(root / "docs" / "explanation" / "figures", results)


def origin(results):
    """Machines, versions and commands behind the results."""
    text = "".join(f"Machine: {machine}\\\n" for machine in sorted({result["machine"] for result in results}))
    newest = {result["daemon"]: (result["date"], result["version"]) for result in sorted(results, key=lambda result: result["date"])}
    text += "Daemons: " + ", ".join(f"{name} {newest[name][1]}" for name in ORDER if name in newest) + "\\\n"
    commands = sorted({(result["date"], result["command"]) for result in results})
    return text + "\\\n".join(f"{date}: `{command}`" for date, command in commands) + "\n"

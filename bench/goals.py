"""What was aimed at, beside what was measured: a row for each goal whose figures are recorded."""

# Cases whose time is compared with the floor's, and by how much at most.
TIMES_FLOOR = {**{f"mesh-{n}": 2 for n in (200, 500, 1000, 2000)}, **{f"{kind}-{n}": 3 for kind in ("cold", "storm") for n in (200, 1000)}}
TABLES = [f"table-{size}-{senders}-1" for size in ("100k", "1m") for senders in (1, 4, 10)]
LATENCIES = [(f"churn-{n}", way) for n in (200, 1000) for way in ("announce", "withdraw")]
# MB with 1,000 clients, and routes a second into the kernel.
MESH_MEMORY, KERNEL = 34, 100_000
MIB = 1024


def rows(results):
    """(goal, limit, measured, whether it holds); what was not measured is left out."""
    known = {(result["case"], result["daemon"]): result for result in results}

    def get(case, daemon, key, way=None):
        result = known.get((case, daemon), {})
        return (result.get(way, {}) if way else result).get(key)

    def ratio(goal, limit, ours, theirs):
        if ours is not None and theirs:
            yield goal, f"≤ {limit} ×", f"{ours / theirs:.2f} ×", ours <= limit * theirs

    for case, limit in TIMES_FLOOR.items():
        yield from ratio(f"{case}: time, of the floor's", limit, get(case, "kubgpd", "seconds"), get(case, "floor", "seconds"))
    for case in (case for case in TIMES_FLOOR if case.startswith("mesh")):
        yield from ratio(f"{case}: CPU, of FRR's", 0.3, get(case, "kubgpd", "cpu_seconds"), get(case, "frr", "cpu_seconds"))
    yield from ratio("mesh-1000: time, of FRR's", 0.33, get("mesh-1000", "kubgpd", "seconds"), get("mesh-1000", "frr", "seconds"))
    yield from ratio("mesh-1000: time, of BIRD 2's", 0.05, get("mesh-1000", "kubgpd", "seconds"), get("mesh-1000", "bird2", "seconds"))
    memory = get("mesh-1000", "kubgpd", "peak_rss_kib")
    if memory is not None:
        yield "mesh-1000: peak RSS", f"≤ {MESH_MEMORY} MB", f"{memory / MIB:.1f} MB", memory <= MESH_MEMORY * MIB
    for case in TABLES:
        yield from ratio(f"{case}: time, of BIRD 2's", 0.5, get(case, "kubgpd", "seconds"), get(case, "bird2", "seconds"))
        yield from ratio(f"{case}: CPU, of BIRD 2's", 1, get(case, "kubgpd", "cpu_seconds"), get(case, "bird2", "cpu_seconds"))
    for case in ("table-1m-1-1", "table-1m-10-1"):
        yield from ratio(f"{case}: peak RSS, of BIRD 2's", 0.75, get(case, "kubgpd", "peak_rss_kib"), get(case, "bird2", "peak_rss_kib"))
    for case, way in LATENCIES:
        for key, limit, base in (("p50_ms", 1.5, "p50_ms"), ("p99_ms", 1.5, "p99_ms"), ("max_ms", 3, "p99_ms")):
            goal = f"{case}: {way} {key[:-3]}, of the floor's {base[:-3]}"
            yield from ratio(goal, limit, get(case, "kubgpd", key, way), get(case, "floor", base, way))
    yield from ratio("slow-200: time, of that without slow readers", 1.1, get("slow-200", "kubgpd", "seconds"), get("slow-200-none", "kubgpd", "seconds"))
    rate = get("fib-100k", "kubgpd", "routes_per_second")
    if rate is not None:
        yield "fib-100k: kernel routes a second", f"≥ {KERNEL}", f"{rate:.0f}", rate >= KERNEL


def section(results):
    """The rows as a section in Markdown."""
    lines = ["\n## Goals\n", "| goal | limit | measured | |", "|---|---|---|---|"]
    lines += [f"| {goal} | {limit} | {measured} | {'holds' if holds else '**missed**'} |" for goal, limit, measured, holds in rows(results)]
    return "\n".join(lines) + "\n"

"""Figures of the results as SVG: lines over a growing number on logarithmic axes, and bars."""

import math
from html import escape

COLORS = {
    "floor": "#888888", "kubgpd": "#0b6e4f", "kubgpd-1": "#0b6e4f", "kubgpd-2": "#58b08c", "bird2": "#c8553d", "bird3": "#e39774",
    "frr": "#3b5b92", "frr10": "#7d9bd1", "gobgp": "#a06cb0",
}  # fmt: skip
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 96, 40, 48


def write(folder, results):
    """All figures for which there are results."""
    folder.mkdir(parents=True, exist_ok=True)
    get = {(result["case"], result["daemon"]): result for result in results if "cpu_seconds" in result}
    daemons = [name for name in COLORS if any(daemon == name for _, daemon in get)]

    def growth(prefix, key, scale=1):
        points = {name: [] for name in daemons}
        for (case, name), result in get.items():
            if case.startswith(prefix) and case[len(prefix) :].isdigit() and key in result:
                points[name].append((int(case[len(prefix) :]), result[key] * scale))
        return {name: sorted(mine) for name, mine in points.items() if mine}

    def compared(cases, value):
        return [(case, [(name, value(get[case, name])) for name in daemons if (case, name) in get]) for case in cases]

    tables = ["table-100k-1-1", "table-100k-4-1", "table-1m-1-1", "table-1m-4-1", "table-1m-10-1"]
    churns = ["churn-200", "churn-1000", "churn-200-fast", "churn-1000-fast"]
    figures = {
        "mesh-time": lines("Mesh of route reflector clients, 10 prefixes each", "clients", "seconds", growth("mesh-", "seconds")),
        "mesh-cpu": lines("Mesh: CPU time of the daemon", "clients", "CPU seconds", growth("mesh-", "cpu_seconds")),
        "mesh-memory": lines("Mesh: peak memory of the daemon", "clients", "MB", growth("mesh-", "peak_rss_kib", 1 / 1024)),
        "table-time": bars("Full table, senders-receivers", "seconds", compared(tables, lambda result: result["seconds"])),
        "table-memory": bars("Full table: peak memory", "MB", compared(tables, lambda result: result["peak_rss_kib"] / 1024)),
        "churn-p99": bars("Announcement to receipt, p99", "ms", compared(churns, lambda result: result["announce"]["p99_ms"])),
    }
    for name, figure in figures.items():
        if figure:
            (folder / f"{name}.svg").write_text(figure)


def lines(title, across, up, series):
    """One line for each name; both axes are logarithmic."""
    points = [point for mine in series.values() for point in mine if point[1] > 0]
    if not points:
        return None
    x = scale(decades(min(p[0] for p in points), max(p[0] for p in points), whole=False), LEFT, WIDTH - RIGHT)
    y = scale(decades(min(p[1] for p in points), max(p[1] for p in points)), HEIGHT - BOTTOM, TOP)
    parts = grid(title, up, y, [p[1] for p in points])
    for value in sorted({p[0] for p in points}):
        parts.append(text(x(value), HEIGHT - BOTTOM + 16, f"{value}", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across, "middle"))
    ends = []
    for name, mine in series.items():
        places = [(x(a), y(b)) for a, b in mine if b > 0]
        parts.append(f'<polyline fill="none" stroke="{COLORS[name]}" stroke-width="2" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in places)}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{COLORS[name]}"/>' for a, b in places]
        ends.append([places[-1][1], places[-1][0], name])
    # Names beside the last points, pushed apart where they would meet.
    last = -math.inf
    for height, right, name in sorted(ends):
        last = max(height + 4, last + 13)
        parts.append(text(right + 8, last, name, "start", COLORS[name]))
    return document(parts)


def bars(title, up, groups):
    """A bar for each name in each group, on a logarithmic axis."""
    groups = [(case, [(name, value) for name, value in mine if value > 0]) for case, mine in groups]
    values = [value for _, mine in groups for _, value in mine]
    if not values:
        return None
    groups = [group for group in groups if group[1]]
    y = scale(decades(min(values) * 0.7, max(values)), HEIGHT - BOTTOM, TOP)
    parts = grid(title, up, y, [min(values) * 0.7, max(values)])
    room = (WIDTH - RIGHT - LEFT) / len(groups)
    for place, (case, mine) in enumerate(groups):
        wide = room * 0.8 / len(mine)
        for at, (name, value) in enumerate(mine):
            left = LEFT + room * (place + 0.1) + wide * at
            parts.append(f'<rect x="{left:.1f}" y="{y(value):.1f}" width="{wide - 1:.1f}" height="{HEIGHT - BOTTOM - y(value):.1f}" fill="{COLORS[name]}"/>')
        parts.append(text(LEFT + room * (place + 0.5), HEIGHT - BOTTOM + 16, case, "middle"))
    for at, name in enumerate(name for name in COLORS if any(name == other for _, mine in groups for other, _ in mine)):
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 16 * at}" width="10" height="10" fill="{COLORS[name]}"/>')
        parts.append(text(WIDTH - RIGHT + 27, TOP + 9 + 16 * at, name, "start"))
    return document(parts)


def decades(low, high, whole=True):
    """Limits of an axis: powers of ten, or the values themselves."""
    if whole:
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
    return low, high if high > low else low * 10


def scale(limits, start, end):
    low, high = map(math.log10, limits)
    return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start)


def grid(title, up, y, values):
    parts = [text(LEFT, 20, title, "start", size=14), text(LEFT - 8, TOP - 8, up, "end")]
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    for power in range(first, max(last, first + 1) + 1):
        height = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#dddddd"/>')
        parts.append(text(LEFT - 8, height + 4, f"{10.0**power:g}", "end"))
    return parts


def text(x, y, what, anchor, color="#222222", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{escape(what)}</text>'


def document(parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"

#!/usr/bin/env python3
"""Draws the pictures of the documentation into docs/pictures.

rooms.svg: the rooms of the library and what each may see, from src/CMakeLists.txt.
speed.svg: llmgen beside llama.cpp, from the table of docs/performance.md.
Usage: make_pictures.py [--check]     (--check: fails if a picture is not what would be drawn now)
"""
import html
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/pictures"
OURS, THEIRS, INK, PALE, PAPER = "#0b6e75", "#b8b2a7", "#22303c", "#e7f1f2", "#ffffff"


def text(x, y, words, size=13, anchor="start", weight="normal", fill=INK):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f"{html.escape(words)}</text>")


def svg(width, height, title, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
            f'font-family="system-ui, sans-serif" role="img">\n<title>{html.escape(title)}</title>\n'
            f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>\n' + "\n".join(parts) + "\n</svg>\n")


def rooms():
    """{room: rooms it links}, lowest first."""
    source = (ROOT / "src/CMakeLists.txt").read_text()
    sees = {}
    for name, rest in re.findall(r"^llm_room\((\w+)(.*)\)$", source, flags=re.M):
        depends = re.search(r"DEPENDS ([a-z_ ]+?)(?: [A-Z]+\b|$)", rest)
        sees[name] = depends.group(1).split() if depends else []
    return {**sees, "include/llm": ["api"], "llmgen": ["include/llm"]}


def draw_rooms():
    sees = rooms()
    level = {}
    for name in sees:  # a room stands after those it sees
        level[name] = 1 + max((level[other] for other in sees[name]), default=-1)
    rows = [[n for n in sees if level[n] == i] for i in range(max(level.values()) + 1)]
    box_width, box_height, gap_x, gap_y, margin = 118, 38, 26, 44, 24
    width = margin * 2 + max(len(row) for row in rows) * (box_width + gap_x) - gap_x
    height = margin * 2 + len(rows) * (box_height + gap_y) - gap_y
    place = {}
    for i, row in enumerate(rows):
        row_width = len(row) * (box_width + gap_x) - gap_x
        for k, name in enumerate(row):
            place[name] = ((width - row_width) / 2 + k * (box_width + gap_x), height - margin - box_height - i * (box_height + gap_y))
    parts = ['<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
             f'<path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>']
    for name, others in sees.items():
        x, y = place[name]
        for other in others:
            to_x, to_y = place[other]
            parts.append(f'<line x1="{x + box_width / 2:g}" y1="{y + box_height:g}" x2="{to_x + box_width / 2:g}" y2="{to_y - 2:g}" '
                         f'stroke="{INK}" stroke-width="1" stroke-opacity="0.55" marker-end="url(#tip)"/>')
    for name, (x, y) in place.items():
        public = name in ("include/llm", "llmgen")
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="{box_width}" height="{box_height}" rx="7" fill="{OURS if public else PALE}" stroke="{OURS}"/>')
        parts.append(text(x + box_width / 2, y + box_height / 2 + 5, name, 14, "middle", "600", PAPER if public else INK))
    return svg(width, height, "The rooms of llmgen: an arrow points to what a room may see", parts)


def number(cell):
    found = re.search(r"\d[\d,]*\.?\d*", cell)
    return float(found.group().replace(",", "")) if found else None


def speed_rows():
    """[(label, llmgen, llama.cpp)] of the first table with both names in its head."""
    rows, columns, label = [], None, ""
    for line in (ROOT / "docs/performance.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            if rows:
                break
            columns = None
        elif columns is None:
            if "llmgen" in cells and "llama.cpp" in cells:
                columns = cells.index("llmgen"), cells.index("llama.cpp")
        elif not set(cells[0]) <= set("-: ") or cells[0] == "":
            first, second = columns
            if len(cells) <= max(columns):
                continue
            label = cells[0] or label
            ours, theirs = number(cells[first]), number(cells[second])
            if ours and theirs:
                rows.append((", ".join([label, *cells[1:first]]), ours, theirs))
    return rows


def draw_speed():
    rows = speed_rows()
    bar, row_height, left, length, top = 13, 46, 300, 330, 58
    width, height = left + length + 110, top + len(rows) * row_height + 14
    parts = [text(20, 28, "Tokens a second: llmgen beside llama.cpp", 16, weight="600"),
             text(20, 46, "each pair of bars has its own scale; docs/performance.md says how it was measured", 12)]
    for i, (label, ours, theirs) in enumerate(rows):
        y = top + i * row_height
        most = max(ours, theirs)
        parts.append(text(left - 12, y + 24, label, 13, "end"))
        for k, (value, colour) in enumerate(((ours, OURS), (theirs, THEIRS))):
            n = length * value / most
            parts.append(f'<rect x="{left}" y="{y + 5 + k * (bar + 2):g}" width="{n:.1f}" height="{bar}" rx="2" fill="{colour}"/>')
            name = "llmgen" if k == 0 else "llama.cpp"
            parts.append(text(left + n + 6, y + 16 + k * (bar + 2), f"{value:g}  {name}", 12))
    return svg(width, height, "Speed of llmgen and llama.cpp", parts)


def main():
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name, picture in (("rooms.svg", draw_rooms()), ("speed.svg", draw_speed())):
        path = FOLDER / name
        if path.exists() and path.read_text() == picture:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(picture)
            print(f"drew docs/pictures/{name}")
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run tools/make_pictures.py")


if __name__ == "__main__":
    main()

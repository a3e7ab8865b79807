"""Draw docs/rooms.svg: the rooms of `mtl` and which imports which, read from the code.

python docs/draw_rooms.py

The rooms and their order stand in one place, the table of docs/architecture.md. tests/test_architecture.py holds the
code against it, and the picture against the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
Graph = dict[str, set[str]]  # of each name those that it imports


# ---- what the page says --------------------------------------------------------------------------------------------


def read_rooms(page: str) -> dict[str, tuple[str, ...]]:
    """``{room: paths of its files and folders}`` from the page's table of rooms, from the roof to the ground.

    A row is a room; it has the name of the first place in it.
    """
    rows = re.findall(r'^\| (`mtl/.*?`) \|', page, re.MULTILINE)
    places = [tuple(re.findall(r'`(mtl/[^`]*)`', row)) for row in rows]
    return {row[0].removeprefix('mtl/').rstrip('/').removesuffix('.py'): row for row in places}


# ---- what the code says --------------------------------------------------------------------------------------------


def read_imports(package: Path) -> Graph:
    """``{path of a module: paths of the modules of the package that it imports}``, at its top or in a function.

    Paths are relative to the folder of the package and written with slashes.
    """
    root = package.parent
    files = {path.relative_to(root).as_posix(): path for path in sorted(package.rglob('*.py'))}
    of_module = {re.sub(r'(/__init__)?\.py$', '', name).replace('/', '.'): name for name in files}
    graph: Graph = {}
    for name, path in files.items():
        found = (_module_of(full, of_module) for full in _imported(path, root))
        graph[name] = {module for module in found if module not in (None, name)}
    return graph


def _imported(path: Path, root: Path) -> Iterator[str]:
    """Full names that a file imports: of modules, or of what is in them."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield from ('.'.join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def _module_of(full: str, of_module: Mapping[str, str]) -> str | None:
    while full and full not in of_module:
        full = full.rpartition('.')[0]
    return of_module.get(full)


def room_of(module: str, rooms: Mapping[str, Iterable[str]]) -> str | None:
    """The room that a module's path is in: the one with the longest place that the path begins with."""
    fitting = [
        (len(place), room)
        for room, places in rooms.items()
        for place in places
        if module == place or (place.endswith('/') and module.startswith(place))
    ]
    return max(fitting)[1] if fitting else None


def between_rooms(imports: Graph, rooms: Mapping[str, Iterable[str]]) -> Graph:
    """``{room: rooms that it imports}``."""
    graph: Graph = {room: set() for room in rooms}
    for module, others in imports.items():
        here = room_of(module, rooms)
        graph[here] |= {room_of(other, rooms) for other in others} - {here}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Groups of names that import one another, in a circle."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return [list(group) for group in sorted(groups) if group]


def _reached(graph: Graph, start: str) -> set[str]:
    found, todo = set(), [start]
    while todo:
        new = graph[todo.pop()] - found
        found |= new
        todo.extend(new)
    return found


# ---- the picture ---------------------------------------------------------------------------------------------------

BOX, GAP, ROW = (144, 30), 22, 68  # width and height of a box, space beside it, distance of rows


def without_detours(graph: Graph) -> Graph:
    """The graph without arrows that others already tell of: from a to c where one leads from a over b to c."""
    return {
        name: {other for other in others if not any(other in _reached(graph, third) for third in others - {other})}
        for name, others in graph.items()
    }


def draw(rooms: Iterable[str], graph: Graph) -> str:
    """The picture as SVG: who imports stands above whom it imports.

    Args:
        rooms: from the roof to the ground.
        graph: of the rooms, without a circle.
    """
    arrows = without_detours(graph)
    height: dict[str, int] = {}
    for room in reversed(list(rooms)):
        height[room] = max((height[other] + 1 for other in arrows[room]), default=0)
    top = max(height.values())
    paths, rows = [], [[room for room in rooms if height[room] == level] for level in range(top, -1, -1)]
    for room in rooms:  # an arrow past a row bends at a place of its own in it
        for other in sorted(arrows[room]):
            bends = [f'{room}>{other}>{level}' for level in range(height[room] - 1, height[other], -1)]
            for level, bend in zip(range(height[room] - 1, height[other], -1), bends, strict=True):
                rows[top - level].append(bend)
            paths.append([room, *bends, other])
    x = _placed(rows, [pair for path in paths for pair in pairwise(path)])
    y = {name: ROW * index + ROW / 2 for index, row in enumerate(rows) for name in row}
    left = min(x.values()) - BOX[0]
    size = round(max(x.values()) - left + BOX[0]), ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        'font-family="sans-serif" font-size="13" text-anchor="middle">',
        '<!-- drawn by docs/draw_rooms.py -->',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{size[0]}" height="{size[1]}" fill="#fff"/>',
    ]
    for path in paths:
        points = [(round(x[name] - left), y[name]) for name in path]
        lines.append(f'<path d="{_curve(points)}" fill="none" stroke="#99a" marker-end="url(#tip)"/>')
    for room in rooms:
        across, down = round(x[room] - left), y[room]
        lines.append(
            f'<rect x="{across - BOX[0] // 2}" y="{down - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" '
            f'fill="#eef3fb" stroke="#57a"/><text x="{across}" y="{down + 5:g}">{escape(room)}</text>'
        )
    return '\n'.join([*lines, '</svg>']) + '\n'


def _curve(points: list[tuple[float, float]]) -> str:
    """From the lower edge of the first box to the upper edge of the last one, upright at every bend."""
    half = BOX[1] / 2
    path = f'M{points[0][0]} {points[0][1] + half:g}'
    for index, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        y, to_y = y + (half if index == 0 else 0), to_y - (half if index == len(points) - 2 else 0)
        middle = (y + to_y) / 2
        path += f'C{x} {middle:g} {to_x} {middle:g} {to_x} {to_y:g}'
    return path


def _placed(rows: list[list[str]], links: list[tuple[str, str]]) -> dict[str, float]:
    """How far to the right each name of the rows stands, so that few of the links cross and most are short."""
    near: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for above, below in links:
        near[above].append(below)
        near[below].append(above)
    x = {name: float(index * (BOX[0] + GAP)) for row in rows for index, name in enumerate(row)}
    for sweep in range(60):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = {name: sum(x[other] for other in near[name]) / max(len(near[name]), 1) for name in row}
            if sweep < 40:
                row.sort(key=wanted.__getitem__)
            _spread(row, wanted, x)
    return x


def _spread(row: list[str], wanted: Mapping[str, float], x: dict[str, float]) -> None:
    """Each of a row as near as can be to where it is wanted, in its order and with its distance from the next."""
    blocks: list[tuple[float, list[float]]] = []  # of names side by side: left end, offsets from it
    for name in row:
        width = BOX[0] + GAP if '>' not in name else GAP
        start, offsets = wanted[name] - width / 2, [0.0, float(width)]
        while blocks and blocks[-1][0] + blocks[-1][1][-1] > start:
            before, others = blocks.pop()
            n, m = len(others) - 1, len(offsets) - 1
            start = (n * before + m * (start - others[-1])) / (n + m)
            offsets = [*others, *(others[-1] + offset for offset in offsets[1:])]
        blocks.append((start, offsets))
    centres = [start + sum(pair) / 2 for start, offsets in blocks for pair in pairwise(offsets)]
    x.update(zip(row, centres, strict=True))


def picture() -> str:
    """The picture of the package beside this folder."""
    rooms = read_rooms((HERE / 'architecture.md').read_text())
    return draw(list(rooms), between_rooms(read_imports(HERE.parent / 'mtl'), rooms))


if __name__ == '__main__':
    (HERE / 'rooms.svg').write_text(picture())

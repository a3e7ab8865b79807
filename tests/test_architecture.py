"""The code against docs/architecture.md, which says what may import what."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = SimpleNamespace(**runpy.run_path(str(ROOT / 'docs' / 'draw_rooms.py')))
ORDER = ROOMS.read_rooms((ROOT / 'docs' / 'architecture.md').read_text())
IMPORTS = ROOMS.read_imports(ROOT / 'mtl')


def upward(imports, rooms) -> list[str]:
    """Imports from a room further up, each as a sentence."""
    floor = {room: index for index, room in enumerate(rooms)}
    pairs = [(module, other) for module, others in imports.items() for other in others]
    return sorted(
        f'{module} imports {other}, which is in a room above it'
        for module, other in pairs
        if floor[ROOMS.room_of(other, rooms)] < floor[ROOMS.room_of(module, rooms)]
    )


def test_the_table_names_what_there_is():
    places = [place for places in ORDER.values() for place in places]
    assert len(places) == len(set(places)) > 20
    assert not [place for place in places if not (ROOT / place).exists()]
    assert not [module for module in IMPORTS if ROOMS.room_of(module, ORDER) is None], 'not in a room of the table'


def test_no_import_leads_upward():
    assert not upward(IMPORTS, ORDER)


def test_no_modules_import_one_another_in_a_circle():
    assert not ROOMS.circles(IMPORTS)


def test_the_picture_is_that_of_the_code():
    drawn = (ROOT / 'docs' / 'rooms.svg').read_text()
    assert drawn == ROOMS.picture(), 'The rooms or their imports have changed: run python docs/draw_rooms.py.'


@pytest.fixture
def house(tmp_path):
    """A package of two rooms, and a function that writes a module of it."""

    def write(name: str, text: str = '') -> None:
        path = tmp_path / 'mtl' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for name in ('__init__.py', 'roof/__init__.py', 'roof/tile.py', 'ground/__init__.py', 'ground/stone.py'):
        write(name)
    rooms = ROOMS.read_rooms('| `mtl/roof/` | above |\n| `mtl/ground/`, `mtl/__init__.py` | below |\n')
    return SimpleNamespace(write=write, rooms=rooms, imports=lambda: ROOMS.read_imports(tmp_path / 'mtl'))


@pytest.mark.parametrize(
    'text',
    [
        'from mtl.roof.tile import colour',
        'from mtl.roof import tile',
        'import mtl.roof.tile as t',
        'from ..roof import tile',
        'from ..roof.tile import colour',
        'def later():\n    from mtl.roof.tile import colour',
        'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mtl.roof.tile import colour',
    ],
)
def test_an_upward_import_of_any_form_is_found(house, text):
    house.write('roof/tile.py', 'from mtl.ground import stone')
    assert upward(house.imports(), house.rooms) == []
    house.write('roof/tile.py')
    house.write('ground/stone.py', text)
    assert upward(house.imports(), house.rooms) == [
        'mtl/ground/stone.py imports mtl/roof/tile.py, which is in a room above it'
    ]


def test_a_circle_within_a_room_is_found(house):
    house.write('ground/stone.py', 'from .sand import grain')
    house.write('ground/sand.py', 'import mtl.ground.water')
    house.write('ground/water.py')
    assert ROOMS.circles(house.imports()) == []
    house.write('ground/water.py', 'def later():\n    from mtl.ground import stone')
    files = [f'mtl/ground/{name}.py' for name in ('sand', 'stone', 'water')]
    assert ROOMS.circles(house.imports()) == [files]


def test_the_picture_leaves_out_what_follows():
    graph = {'a': {'b', 'c', 'd'}, 'b': {'c'}, 'c': set(), 'd': set()}
    assert ROOMS.without_detours(graph) == {'a': {'b', 'd'}, 'b': {'c'}, 'c': set(), 'd': set()}

"""Files that come with the package: configs and weights. A wheel holds them; a checkout has them beside the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
ROOT = _PACKAGE / 'shipped' if (_PACKAGE / 'shipped').is_dir() else _PACKAGE.parent  # with configs/ and checkpoints/


def find(path: str | Path) -> Path | None:
    """The file ``path``, from the working directory or else of those that come with the package; ``None``: neither."""
    return next((file for file in (Path(path).expanduser(), ROOT / path) if file.is_file()), None)


def find_config(name: str | Path) -> Path | None:
    """A config by its path, see :func:`find`, or by its name: ``quickstart``, ``mtlora/mtlora_swin_hrnet_pascal``."""
    name = Path(name)
    return find(name) or find(Path('configs', name.parent, f'{name.name}.py'))

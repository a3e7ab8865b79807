"""MiniScenes: random scenes of simple solids, ray cast, with exact labels for all six tasks.

The stand-in for the real data sets: :func:`render_scene` makes one labelled picture in memory, :func:`write_pascal`
and :func:`write_nyud` write whole data sets in the published layouts, :class:`MiniScenes` is a data set for a config
that makes itself.
"""

from __future__ import annotations

from .dataset import MiniScenes
from .scene import RenderedScene, render_scene
from .writing import ensure_nyud, ensure_pascal, write_nyud, write_pascal

"""The evaluation recipes of the literature, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtl.evaluation.boundary.nms import non_maximum_suppression


@dataclass(frozen=True)
class Recipe:
    """How boundary strengths become binary maps, and how these are matched.

    Args:
        name: as on the command line.
        nms: suppress non-maxima before thresholds.
        thresholds: the default thresholds ``[T]``, increasing.
        strict: a pixel is a boundary if its strength is above the threshold, not merely at it.
        thin_truth: thin the label too. Human drawings are thin; borders of label maps are not.
        losses: reproduce the losses of the original matcher (:func:`mtl.evaluation.boundary.matching.match`).
    """

    name: str
    nms: bool
    thresholds: tuple[float, ...]
    strict: bool
    thin_truth: bool
    losses: bool

    def strengths(self, prediction: np.ndarray) -> np.ndarray:
        """Strengths in [0, 1], float64.

        What comes in 8 bits stays on their grid, after the suppression of non-maxima, too, as in the published
        pipelines, which pass through PNG files. Other maps are not rounded.

        Args:
            prediction: probabilities ``[H, W]``, or an 8-bit map as uint8.
        """
        if prediction.dtype != np.uint8:
            strength = np.clip(np.nan_to_num(prediction.astype(np.float64)), 0, 1)
            return non_maximum_suppression(strength) if self.nms else strength
        strength = prediction / 255.0
        return np.rint(non_maximum_suppression(strength) * 255) / 255 if self.nms else strength

    def binarise(self, strength: np.ndarray, threshold: float) -> np.ndarray:
        """Boolean ``[H, W]``."""
        return strength > threshold if self.strict else strength >= threshold


def even_thresholds(count: int) -> tuple[float, ...]:
    """``count`` thresholds at equal steps inside (0, 1): ``k / (count + 1)``, to the last digit those of BSDS.

    (8-bit strengths meet thresholds such as 1 / 3 exactly; the rounding of the original's linspace then decides.)
    """
    return tuple(np.linspace(1 / (count + 1), 1 - 1 / (count + 1), count).tolist())


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # ATRC, InvPT, TaskExpert: HED's suppression, then SEISM with HED's 101 thresholds 0, 0.01, ... 1
        Recipe('seism-nms', True, tuple(np.arange(101) / 100), strict=True, thin_truth=True, losses=False),
        # MTI-Net: SEISM on the network's own maps
        Recipe('seism-raw', False, even_thresholds(99), strict=False, thin_truth=True, losses=False),
        # the BSDS500 benchmark on maps that are thin already
        Recipe('bsds', False, even_thresholds(99), strict=False, thin_truth=False, losses=True),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: no such recipe.
    """
    if name not in RECIPES:
        raise ValueError(f'Unknown boundary recipe {name!r}. Known recipes: {", ".join(RECIPES)}.')
    return RECIPES[name]

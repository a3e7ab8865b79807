"""Multiplications and parameters of a network at any width, in closed form: no forward pass, many widths at once.

Each part of a network has a closed form of its own. All of them work on whole numbers or arrays of them alike, and ask
the network's own rules which of several equal ways a product is computed (they count multiplications, too), so that
they give exactly what a counter of operations finds on the materialised network.
"""

from mtl.search.cost.model import CostError, CostModel

__all__ = ['CostError', 'CostModel']

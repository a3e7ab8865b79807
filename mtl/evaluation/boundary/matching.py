"""One-to-one matching of two sets of boundary pixels (Martin, Fowlkes and Malik, TPAMI 2004)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

_OUTLIER_DEGREE = 6  # random outlier neighbours a pixel has in the original benchmark
_ROWS_A_PART = 300  # the solver's time grows faster than its problem; a call for each tiny component costs more


def match(
    first: np.ndarray,
    second: np.ndarray,
    radius: float,
    nearest: bool = True,
    losses: np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """As many pairs of pixels within ``radius`` as possible and, among such matchings, one of least total distance.

    Solved as a sparse assignment problem: the pixels of the smaller set are rows; columns are the pixels of the larger
    set and one private outlier column per row, dearer than all pairs together, so that every row finds a column.

    Args:
        first, second: boolean maps ``[H, W]``.
        radius: largest distance in pixels, inclusive.
        nearest: with ``False`` distances do not count, only the number of pairs, which is found faster.
        losses: reproduce the losses of the original matcher, see :func:`_losses`; ``None`` for the true optimum.

    Returns:
        For the pixels of ``first`` and of ``second``, in the order of ``np.flatnonzero``, whether they are matched.
    """
    if np.count_nonzero(first) > np.count_nonzero(second):
        return match(second, first, radius, nearest, losses)[::-1]
    pairs = _pairs(first, second, radius)
    price = np.rint(100 * pairs[2]) if nearest else np.zeros(len(pairs[2]))
    rows, row = np.unique(pairs[0], return_inverse=True)  # pixels that have a partner at all
    columns, column = np.unique(pairs[1], return_inverse=True)
    matched_first = np.zeros(np.count_nonzero(first), bool)
    matched_second = np.zeros(np.count_nonzero(second), bool)
    if len(rows) == 0:
        return matched_first, matched_second

    # Hundredths of a pixel, as in the original. An integer below 2^53 is exact in the solver's floats, and no sum of
    # distances comes near the price of an outlier.
    outlier = 100.0 * (radius + 1) * (len(rows) + 1)
    private = np.arange(len(rows))
    lost_row, lost_column = (private[:0], private[:0]) if losses is None else _losses(len(rows), len(columns), losses)
    edges = [
        (row, column, outlier + price),
        (private, len(columns) + private, np.full(len(rows), 2 * outlier)),
        (lost_row, len(columns) + len(rows) + lost_column, np.ones(len(lost_row))),
    ]
    row, column, weight = (np.concatenate(part) for part in zip(*edges, strict=True))
    assigned_row, assigned_column = _assign(csr_matrix((weight, (row, column))))

    real = assigned_column < len(columns)
    matched_first[rows[assigned_row[real]]] = True
    matched_second[columns[assigned_column[real]]] = True
    return matched_first, matched_second


def _assign(graph: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Assignment ``(rows, columns)`` of all rows at least total weight, one group of connected components at a time."""
    rows, columns = graph.shape
    edges = graph.tocoo()
    joint = csr_matrix((np.ones(graph.nnz), (edges.row, rows + edges.col)), (rows + columns, rows + columns))
    _, component = connected_components(joint, directed=False)
    part = (np.cumsum(np.bincount(component[:rows])) - 1) // _ROWS_A_PART  # by component; every one has a row
    row_part, column_part = part[component[:rows]], part[component[rows:]]
    solved = []
    for number in np.unique(row_part):
        row, column = np.flatnonzero(row_part == number), np.flatnonzero(column_part == number)
        assigned_row, assigned_column = min_weight_full_bipartite_matching(graph[row][:, column])
        solved.append((row[assigned_row], column[assigned_column]))
    return tuple(np.concatenate(part) for part in zip(*solved, strict=True))


def _pairs(first: np.ndarray, second: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices into the pixels of ``first`` and ``second`` of all pairs within ``radius``, and their distances."""
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    distance = np.hypot(dy, dx)
    near = dy**2 + dx**2 <= radius**2
    dy, dx, distance = dy[near], dx[near], distance[near]
    # number the pixels of `second` on a map with a margin, then look up every neighbour of every pixel of `first`
    number = np.full((second.shape[0] + 2 * reach, second.shape[1] + 2 * reach), -1, np.int32)
    number[reach : reach + second.shape[0], reach : reach + second.shape[1]][second] = np.arange(second.sum())
    y, x = np.nonzero(first)
    width = number.shape[1]
    neighbour = number.ravel()[((y + reach) * width + x + reach)[:, None] + (dy * width + dx)]
    row, offset = np.nonzero(neighbour >= 0)
    return row, neighbour[row, offset], distance[offset]


def _losses(rows: int, columns: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``(row, loss)`` to columns that must be taken, one a loss: pixels that the original matcher gives away.

    The original lets a pixel stay unmatched by pairing it with an outlier node, and draws its outlier edges at
    random: each of the ``columns`` outliers of the larger side picks six of the ``rows`` outliers on the other. One
    that nobody picks (probability ``exp(-6 columns / rows)``) can only be paired with one of about six random pixels
    of the smaller set, which then is not matched, even where it could be. That costs some 0.03 % of recall, and since
    the pixels are others for each annotation, changes which predictions find a partner in any of them. Scores that
    are to be compared with published ones need it; the random numbers are fixed, so the result is too.
    """
    picked = np.bincount(random.randint(0, rows, _OUTLIER_DEGREE * columns), minlength=rows)
    loss = np.arange(np.count_nonzero(picked == 0))
    takers = np.sort(random.randint(0, rows, (len(loss), _OUTLIER_DEGREE)), axis=1)
    distinct = np.ones(takers.shape, bool)
    distinct[:, 1:] = takers[:, 1:] != takers[:, :-1]
    return takers[distinct], np.broadcast_to(loss[:, None], takers.shape)[distinct]

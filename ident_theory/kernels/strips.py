"""How far log densities continue into the complex plane: finite differences over all components of a prior."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(error_model="numpy", nogil=True, cache=True)
def widen_excess(table: np.ndarray, chosen: np.ndarray, lags: np.ndarray, single: np.ndarray,
                 joint: np.ndarray) -> None:
    r"""Raise `single` and `joint` to the largest second differences of the components that one prior may mix.

    For the log densities :math:`L_j` of the components at equidistant points :math:`x_i` and a lag e,

    .. math:: single = \max_j [L_j(x_{i+1+e}) - L_j(x_{i+1}) + L_j(x_{i-e}) - L_j(x_i)], \quad
              joint = \max_j [L_j(x_{i+1+e}) - L_j(x_{i+1})] + \max_j [L_j(x_{i-e}) - L_j(x_i)].

    Parameters
    ----------
    table : ndarray, shape (C, G)
    chosen : ndarray of int
        The rows j runs over.
    lags : ndarray of int, shape (E,)
    single, joint : ndarray, shape (E, G - 1)
        In and out; entries whose points lie outside the table are left alone.
    """
    points = table.shape[1]
    up = np.empty(points)
    down = np.empty(points)
    for k in range(lags.size):
        e = lags[k]
        most = single[k]
        up[:] = -np.inf
        down[:] = -np.inf
        for j in chosen:
            row = table[j]
            for i in range(e, points - 1 - e):
                rise = row[i + 1 + e] - row[i + 1]
                fall = row[i - e] - row[i]
                up[i] = max(up[i], rise)
                down[i] = max(down[i], fall)
                most[i] = max(most[i], rise + fall)
        for i in range(e, points - 1 - e):
            joint[k, i] = max(joint[k, i], up[i] + down[i])

"""The torch twin of `kernels.mixtures`: the same sums on a GPU, or on the CPU for comparison."""

from __future__ import annotations

import numpy as np
import torch

from ident_theory.kernels.mixtures import DEEP

#: Logarithms held at once, in numbers.
BLOCK = 1 << 24


def mixture_sums(logs: np.ndarray, densities: np.ndarray, scale: np.ndarray, rows: np.ndarray, weights: np.ndarray,
                 target_weights: np.ndarray, device: str) -> np.ndarray:
    """sum_q target_weights[t, q] (log p_r(x_q) - scale_q) in float64, shape (T, R).

    Parameters
    ----------
    logs, densities : ndarray, shape (C, Q)
    scale : ndarray, shape (Q,)
    rows, weights : ndarray, shape (R, J)
    target_weights : ndarray, shape (T, Q)
    device : {"cuda", "torch-cpu"}
    """
    where = torch.device("cpu" if device == "torch-cpu" else device)
    table, targets = (torch.from_numpy(a).to(where) for a in (densities, target_weights))
    mixing = torch.zeros(len(rows), len(densities), dtype=torch.float64)
    mixing.scatter_add_(1, torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(weights))
    deep = np.flatnonzero(scale - logs.min(axis=0) > DEEP)
    step = max(1, BLOCK // max(logs.shape[1], deep.size * len(logs)))
    sums = []
    for first in range(0, len(rows), step):
        part = (mixing[first:first + step].to(where) @ table).log_()
        if deep.size:  # densities may have underflowed there
            terms = torch.from_numpy(logs[:, deep] - scale[deep]).to(where)[None, :, :]
            part[:, torch.from_numpy(deep).to(where)] = torch.logsumexp(
                mixing[first:first + step].to(where).log()[:, :, None] + terms, dim=1)
        sums.append(targets @ part.T)
    return torch.cat(sums, dim=1).cpu().numpy()

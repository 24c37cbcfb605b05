"""Convolutions as dense matrices on images flattened row by row."""

from __future__ import annotations

import numpy as np

from ident_theory.models.value import FloatArray

Pair = tuple[int, int]


def conv_size(size: Pair, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair) -> Pair:
    """Height and width of what a convolution makes of an image; `padding` is (before, after) for each axis."""
    out = [(n + sum(p) - d * (k - 1) - 1) // s + 1
           for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)]
    return out[0], out[1]


def same_padding(kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Zeros before and after each axis that keep the size at stride 1; an odd one goes after."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)


def conv_matrix(kernel: FloatArray, size: Pair, out_size: Pair, stride: Pair, padding: Pair, dilation: Pair,
                groups: int) -> FloatArray:
    r"""The matrix of a two-dimensional cross-correlation with zero padding.

    Output channel o at (i, j) reads input channel c at (i s - p + k d, j s - p + k' d) with the weight
    ``kernel[o, c', k, k']``, c' being the place of c in the group of o. The transposed matrix is that of the
    transposed convolution.

    Parameters
    ----------
    kernel : ndarray, shape (out channels, in channels / groups, kernel height, kernel width)
    size, out_size : pair of int
        Height and width of the input and of the output image.
    stride, padding, dilation : pair of int
        `padding` before the first row and column.
    groups : int

    Returns
    -------
    ndarray, shape (out channels * out height * out width, in channels * height * width)
        Every entry is zero or an entry of `kernel`.
    """
    out_channels, group_width = kernel.shape[:2]
    in_channels = group_width * groups
    matrix = np.zeros((out_channels, *out_size, in_channels, *size))
    o = np.arange(out_channels)[:, None, None]
    c = (o // (out_channels // groups)) * group_width + np.arange(group_width)[:, None]
    i, j = (axis.ravel() for axis in np.indices(out_size))
    for k in range(kernel.shape[2]):
        for l in range(kernel.shape[3]):
            y = i * stride[0] - padding[0] + k * dilation[0]
            x = j * stride[1] - padding[1] + l * dilation[1]
            inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
            matrix[o, i[inside], j[inside], c, y[inside], x[inside]] = kernel[:, :, k, l, None]
    return matrix.reshape(out_channels * out_size[0] * out_size[1], in_channels * size[0] * size[1])

"""Appendix D: shapes and numbers of parameters."""

from __future__ import annotations

from itertools import product as tuples
from math import prod

import sympy as sp

from ident_theory.claims.claim import Chapter, Kind
from ident_theory.claims.papers import GIN
from ident_theory.claims.record import Record

chapter = Chapter(GIN)

Shape = tuple[int, ...]
#: Tables 2 and 3: kind of block, number, input shape, widths of the coupling function.
ARTIFICIAL: tuple[tuple[str, int, Shape, Shape], ...] = (("connected", 8, (10,), (5, 10, 10, 10)),)
EMNIST: tuple[tuple[str, int, Shape, Shape], ...] = (
    ("down", 1, (1, 28, 28), ()), ("convolution", 4, (4, 14, 14), (2, 16, 16, 4)), ("down", 1, (4, 14, 14), ()),
    ("convolution", 4, (16, 7, 7), (8, 32, 32, 16)), ("flat", 1, (16, 7, 7), ()),
    ("connected", 2, (784,), (392, 392, 392, 784)))
#: Coupling functions a block.
TWO = 2


def parameters(widths: Shape, kernel: int = 1, biases: bool = True) -> int:
    """Weights, and biases if there are any, of one coupling function."""
    return sum(kernel**2 * a * b + b * biases for a, b in zip(widths, widths[1:], strict=False))


def total(table: tuple[tuple[str, int, Shape, Shape], ...], kernels: Shape = (), *, functions: int = TWO,
          biases: bool = True) -> int:
    """Parameters of a network; `kernels` holds the sizes for its convolutional rows in order."""
    sizes = iter(kernels)
    return sum(functions * number * parameters(widths, next(sizes) if kind == "convolution" else 1, biases)
               for kind, number, _, widths in table if widths)


@chapter.claim("gin.par1", place="App. D", kind=Kind.NUMBER,
               statement="The network of the artificial data has 4,480 parameters.",
               hypotheses=("two coupling functions a block", "weights and biases"))
def small_network(on: Record) -> None:
    layers = [parameters(pair) for pair in ((5, 10), (10, 10), (10, 10))]
    on.printed.prove(total(ARTIFICIAL) == 8 * TWO * sum(layers) == 4480 and layers == [60, 110, 110],
                     "8 blocks of 2 functions of 60 + 110 + 110")
    found = [(functions, biases) for functions, biases in tuples((1, 2, 3, 4), (False, True))
             if total(ARTIFICIAL, functions=functions, biases=biases) == 4480]
    on.printed.prove(found == [(2, True)], "no other number of functions from 1 to 4, with or without biases, gives it")


@chapter.claim("gin.par1.outputs", place="App. D with Sec. 4.1", kind=Kind.ADDED,
               statement="The count of 4,480 includes a fifth scale output that a last scale equal to minus the sum "
                         "of the others does not use: with nine outputs it would be 4,304.")
def unused_output(on: Record) -> None:
    half = 5
    scales = sp.symbols("s_1:6")
    used = set().union(*(v.free_symbols for v in (*scales[:-1], -sum(scales[:-1]))))
    centred = set().union(*((v - sum(scales) / half).free_symbols for v in scales))
    nine = (("connected", 8, (10,), (half, 10, 10, half + len(used))),)
    on.printed.prove(len(used) == 4 and total(nine) == 4304 and total(ARTIFICIAL) - total(nine) == 16 * 11,
                     "5 shifts and 4 scales: 16 functions have 11 parameters less")
    on.printed.prove(len(centred) == half and sp.expand(sum(v - sum(scales) / half for v in scales)) == 0,
                     "subtracting the mean of five scales has the zero sum too, and uses all ten outputs")


@chapter.claim("gin.par2", place="App. D", kind=Kind.NUMBER,
               statement="The network of EMNIST has 2,620,192 parameters.",
               hypotheses=("two coupling functions a block", "weights and biases",
                           "3 x 3 kernels, which the paper does not say"))
def large_network(on: Record) -> None:
    parts = [parameters((2, 16, 16, 4), 3), parameters((8, 32, 32, 16), 3), parameters((392, 392, 392, 784))]
    on.printed.prove(parts == [3204, 16208, 616224] and total(EMNIST, (3, 3)) == 2620192
                     and TWO * (4 * parts[0] + 4 * parts[1] + 2 * parts[2]) == 2620192,
                     "8 x 3,204 + 8 x 16,208 + 4 x 616,224")
    found = [(kernels, biases) for kernels, biases in tuples(tuples(range(1, 12), repeat=2), (False, True))
             if total(EMNIST, kernels, biases=biases) == 2620192]
    on.printed.prove(found == [((3, 3), True)],
                     "of the kernels from 1 to 11 in the two stages, with or without biases, only 3 x 3 with biases "
                     f"gives it; 1 x 1 would be {total(EMNIST, (1, 1)):,}, 5 x 5 {total(EMNIST, (5, 5)):,}")


def unit_rows(size: int, order: list[int]) -> sp.Matrix:
    """The matrix that puts entry order[i] in place i."""
    return sp.Matrix(size, size, lambda i, j: int(order[i] == j))


def downsampled(shape: Shape) -> tuple[Shape, list[int]]:
    """Shape after each 2 x 2 square of a channel becomes four channels, and the place that every entry comes from."""
    channels, height, width = shape
    new = (4 * channels, height // 2, width // 2)
    order = [(c // 4) * height * width + (2 * i + (c % 4) // 2) * width + 2 * j + (c % 4) % 2
             for c, i, j in tuples(*map(range, new))]
    return new, order


@chapter.claim("gin.shapes", place="App. D, Table 3", kind=Kind.TABLE,
               statement="The shapes of the EMNIST network follow from one another: (1, 28, 28), (4, 14, 14), (16, 7, "
                         "7), 784; every coupling function takes half of the channels and returns a scale and a shift "
                         "for the other half.",
               covers=("Table 3",))
def shapes_of_the_large_network(on: Record) -> None:
    shape: Shape = EMNIST[0][2]
    consistent = []
    for kind, _, expected, widths in EMNIST:
        consistent.append(shape == expected)
        if kind == "down":
            shape = downsampled(shape)[0]
        elif kind == "flat":
            shape = (prod(shape),)
        else:
            consistent.append(2 * widths[0] == shape[0] and widths[-1] == 2 * (shape[0] - widths[0]))
    on.printed.prove(all(consistent) and shape == (784,), f"{len(EMNIST)} rows, one after the other")


@chapter.claim("gin.tab2", place="App. D, Table 2", kind=Kind.TABLE,
               statement="The coupling functions of the artificial network take five of ten inputs and return a scale "
                         "and a shift for the other five.",
               covers=("Table 2",))
def shapes_of_the_small_network(on: Record) -> None:
    (_, number, shape, widths), = ARTIFICIAL
    on.printed.prove(number == 8 and widths[0] == shape[0] // 2 and widths[-1] == 2 * (shape[0] - widths[0]) == 10,
                     "5 inputs, 10 = 2 x 5 outputs, in 10 dimensions")


@chapter.claim("gin.down", place="App. D", kind=Kind.CLAIM,
               statement="Downsampling multiplies the channels by four and halves width and height; it is a "
                         "permutation of the entries and preserves volume.",
               scope="one of the orders of the four entries of a square; the others differ by permutations")
def downsampling(on: Record) -> None:
    for shape in ((1, 28, 28), (4, 14, 14)):
        new, order = downsampled(shape)
        once = sorted(order) == list(range(prod(shape)))
        on.printed.prove(once and new == (4 * shape[0], shape[1] // 2, shape[2] // 2),
                         f"{shape} to {new}: every entry once")
    _, order = downsampled((1, 4, 4))
    matrix = unit_rows(16, order)
    on.printed.prove(abs(matrix.det()) == 1 and order[:4] == [0, 2, 8, 10],
                     "(1, 4, 4): determinant of absolute value 1; the first channel is the upper left of every square")

"""IDNU, section 4 and Appendices A, D, F, H: numbers of runs, pairs, layers and mixture components."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb

import sympy as sp

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.idnu.printed_tables import ROWS
from ident_theory.claims.matrices import rank
from ident_theory.claims.papers import IDNU
from ident_theory.claims.record import Record

chapter = Chapter(IDNU)

SEEDS, LATENT_DIMS, MODELS = 10, (50, 90, 200), ("iVAE", "VaDE", "VAE")
#: Components of the mixtures of section 4.1.
COMPONENTS = {"MNIST": 40, "CIFAR10": 100, "SVHN": 100}


@chapter.claim("idnu.480", place="section 4.1", kind=Kind.NUMBER,
               statement="480 models were trained for the experiments on images.",
               hypotheses=("iVAE, VaDE and VAE, each architecture and data set of Appendix I, d_z = 50, 90, 200, ten "
                           "seeds",),
               correction=Correction("720: 240 of each of the three models; 480 counts two of them"))
def number_of_models(on: Record) -> None:
    """24 rows of the tables, ten seeds, three models."""
    runs = list(product(ROWS, range(SEEDS), MODELS))
    on.printed.refute(len(runs) != 480 and len(set(ROWS)) == 24,
                      f"{len(set(ROWS))} rows x {SEEDS} seeds x {len(MODELS)} models = {len(runs)}",
                      shown="24 * 10 * 3 = 720")
    on.corrected.prove(len(runs) == 720 and len(list(product(ROWS, range(SEEDS), MODELS[:2]))) == 480
                       and all(sum(row[2] == d for row in ROWS) == 8 for d in LATENT_DIMS),
                       "8 pairs of architecture and data set at each of three d_z: 240 runs of each model")


@chapter.claim("idnu.5mo", place="footnote 3", kind=Kind.NUMBER,
               statement="480 runs of 8 hours one after another take about 5 months.", hypotheses=("480 runs",))
def months(on: Record) -> None:
    """A month is a twelfth of 365.25 days."""
    found = Fraction(480 * 8, 24) / (Fraction(36525, 100) / 12)
    on.printed.prove(round(found) == 5, f"{float(found):.2f} months (for 720 runs {float(found * 3 / 2):.2f})")


@chapter.claim("idnu.arch", place="section 4.1; Appendix B", kind=Kind.CLAIM,
               statement="Encoders and decoders are MLPs, ConvNets and ResNets on each of MNIST, CIFAR10 and SVHN.",
               hypotheses=("Tables I.5 to I.7 list all combinations trained",),
               correction=Correction("all but ResNet on MNIST", hypotheses=("32 divides the width, for ResNets",)))
def no_resnet_on_mnist(on: Record) -> None:
    """Counted in the tables; five halvings of 28 leave no pixel."""
    found = {row[:2] for row in ROWS}
    wanted = set(product(("MLP", "ConvNet", "ResNet"), COMPONENTS))
    on.printed.refute(wanted - found == {("ResNet", "MNIST")} and Fraction(28, 2**5) < 1,
                      f"{len(found)} of {len(wanted)} pairs occur; the ResNet halves the width five times: 28/32 = "
                      "0.875",
                      shown="ResNet, MNIST")
    on.corrected.prove(found == wanted - {("ResNet", "MNIST")} and Fraction(32, 2**5) == 1,
                       "the other eight pairs occur, at each d_z; 32/32 = 1")


@chapter.claim("idnu.55", place="section 4.1; Appendix D", kind=Kind.NUMBER,
               statement="Ten restarts give 55 pairs of seeds.", hypotheses=("a pair is two different runs",),
               correction=Correction("45 pairs; 55 counts every run with itself as well"))
def pairs_of_seeds(on: Record) -> None:
    """Listed; and what the ten perfect self-pairs would do to a mean."""
    pairs = list(combinations(range(SEEDS), 2))
    on.printed.refute(len(pairs) != 55, f"{len(pairs)} pairs of different runs; 55 = 10 * 11 / 2 with each run and "
                                        "itself",
                      shown="comb(10, 2) = 45")
    true, printed = sp.symbols("m M")
    solved = sp.solve(sp.Eq(printed, (45 * true + 10) / 55), true)[0]
    example = solved.subs(printed, sp.Rational(3618, 10000))
    on.corrected.prove(len(pairs) == comb(10, 2) == 45 and sp.expand(solved - (55 * printed - 10) / 45) == 0,
                       "if self-pairs (MCC 1) were averaged in, the mean m of the others is (55 M - 10)/45: 0.3618 "
                       f"becomes {float(example):.3f}")


@chapter.claim("idnu.3250", place="Appendix D, Figure D.6", kind=Kind.NUMBER,
               statement="8 x 8 positions and 55 pairs give 3250 values.", hypotheses=(),
               correction=Correction("3520; with 45 pairs 2880"))
def digits_swapped(on: Record) -> None:
    """Arithmetic."""
    values = list(product(range(8), range(8), range(55)))
    on.printed.refute(len(values) != 3250, f"8 * 8 * 55 = {len(values)}", shown="8 * 8 * 55 = 3520")
    on.corrected.prove(len(values) == 3520 and 64 * len(list(combinations(range(SEEDS), 2))) == 2880, "counted")


@chapter.claim("idnu.dzdx", place="section 4.1", kind=Kind.NUMBER,
               statement="d_z = 200 on MNIST is about a quarter of d_x.", hypotheses=("MNIST is 28 x 28 x 1",))
def ratio(on: Record) -> None:
    """200/784."""
    found = Fraction(200, 28 * 28)
    nearest = min((Fraction(1, q) for q in range(1, 10)), key=lambda v: abs(v - found))
    on.printed.prove(nearest == Fraction(1, 4), f"200/784 = {float(found):.4f}, nearest to 1/4 of all 1/q")


def values_needed(latent_dim: int, k: int = 2) -> int:
    """Values of u without which L cannot be formed: differences from one of them have to span k d_z dimensions."""
    return k * latent_dim + 1


def best_rank(values: int, latent_dim: int) -> int:
    """Largest rank of the differences of that many natural parameters (k = 2): reached by 0 and unit vectors."""
    size = 2 * latent_dim
    natural = [[int(i == j + 1) for j in range(size)] for i in range(values)]
    return rank([[a - b for a, b in zip(row, natural[0], strict=True)] for row in natural[1:]])


@chapter.claim("idnu.mixK", place="Appendix H with section 4.1", kind=Kind.CLAIM,
               statement="While VaDE is trained L remains invertible, so the constraint need not be enforced.",
               hypotheses=("Gaussian components, k = "
                           "2", "40 components for MNIST, 100 for CIFAR10 and SVHN, d_z = 50, 90, 200"),
               correction=Correction("L has rank below 2 d_z for every VaDE of section 4.1; at least 2 d_z + 1 "
                                     "components are needed, which only the synthetic runs and Appendices E and F have",
                                     hypotheses=("at least 2 d_z + 1 components",)))
def too_few_components(on: Record) -> None:
    """Components against 2 d_z + 1."""
    short = [(data, d, count) for data, count in COMPONENTS.items() for d in LATENT_DIMS
             if best_rank(count, d) < 2 * d]
    on.printed.refute(len(short) == 9, "d_z = 50, 90, 200 need 101, 181, 401 values of u: with 40 or 100 components "
                                       "the columns of L span at most 39 or 99 of 100, 180, 400 dimensions",
                      shown="; ".join(f"{data}, d_z = {d}: {count} components" for data, d, count in short))
    runs = {"synthetic": (5, 40), "Appendix E": (50, 128), "Appendix F": (5, 50)}
    largest = {count: max(d for d in range(1, count) if values_needed(d) <= count) for count in (40, 100)}
    exact = all((best_rank(count, d) == 2 * d) == (d <= largest[count])
                for count in largest for d in (largest[count], largest[count] + 1))
    enough = all(best_rank(count, d) == 2 * d for d, count in runs.values())
    on.corrected.prove(enough and exact and largest == {40: 19, 100: 49},
                       f"{runs} suffice (101 <= 128, 11 <= 40, 50); 40 components allow d_z <= 19, 100 allow d_z <= 49")


@chapter.claim("idnu.dz4", place="Appendix H", kind=Kind.NUMBER,
               statement="With ten classes and Gaussian priors (k = 2) d_z is at most "
                         "4.", hypotheses=("u is the class",))
def four_latents(on: Record) -> None:
    """The largest d_z with an L of full rank."""
    allowed = [d for d in range(1, 12) if best_rank(10, d) == 2 * d]
    on.printed.prove(allowed == [1, 2, 3, 4] and values_needed(4) == 9 and values_needed(5) == 11,
                     "nine differences span 2 d_z dimensions for d_z = 1, ..., 4 and no more")


@chapter.claim("idnu.L200", place="Appendix H", kind=Kind.CLAIM,
               statement="For d_z = 200 the matrix L cannot be formed from ten classes.", hypotheses=("k = 2",))
def no_l_matrix(on: Record) -> None:
    """401 values are needed."""
    on.printed.prove(values_needed(200) == 401 and best_rank(10, 200) == 9,
                     "401 values of u are needed; ten give nine columns of 400")


@chapter.claim("idnu.appA", place="Appendix A", kind=Kind.NUMBER,
               statement="Five latents, 20 segments (iVAE) and 40 components (VaDE): enough values of u for Gaussians.",
               hypotheses=("k = 2", "parameters in general position"))
def synthetic(on: Record) -> None:
    """11 values are needed."""
    on.printed.prove(values_needed(5) == 11 and best_rank(20, 5) == best_rank(40, 5) == 10 and best_rank(10, 5) < 10,
                     "11 <= 20, 40, and ten would not do")


@chapter.claim("idnu.appA.mixing", place="Appendix A with Theorem 2 (added)", kind=Kind.ADDED,
               statement="The mixing of the synthetic data, four layers of square full-rank weights with LeakyReLU, is "
                         "a bijection, as Theorem 1 asks; it has no derivative where a hidden unit is 0, so (iii) of "
                         "Theorem 2 is not met. The corrected Theorem 2 asks for injectivity alone.",
               hypotheses=("slope between 0 and 1", "every weight matrix is square and invertible"),
               scope="(iii) read as holding everywhere; almost everywhere all second derivatives are 0")
def leaky_mixing(on: Record) -> None:
    """The activation has an inverse and two one-sided derivatives; four layers undone exactly."""
    t, slope = sp.symbols("t a", positive=True)

    def leaky(v: sp.Expr, a: sp.Expr) -> sp.Expr:
        return v if v.is_nonnegative else a * v

    undone = all(sp.simplify(leaky(leaky(v, slope), 1 / slope) - v) == 0 for v in (t, sp.Integer(0), -t))
    a = sp.Rational(1, 10)
    weights = [sp.Matrix(5, 5, lambda i, j, s=s: int(i == j) + (s + 1) * int(j == (i + s) % 5)) for s in range(1, 5)]
    points = [sp.Matrix(p) for p in ((0, 0, 0, 0, 0), (1, -1, 2, 0, -3), (-1, -1, -1, -1, -1), (3, 5, -7, 2, 1))]
    back = True
    for z in points:
        x = z
        for w in weights:
            x = (w * x).applyfunc(lambda v: leaky(v, a))
        for w in reversed(weights):
            x = w.inv() * x.applyfunc(lambda v: leaky(v, 1 / a))
        back &= x == z
    right, left = sp.limit(leaky(t, slope) / t, t, 0), sp.limit(leaky(-t, slope) / -t, t, 0)
    on.printed.prove(undone and back and sp.simplify(right - left) == 1 - slope,
                     "LeakyReLU with slope 1/a undoes that with slope a, and an invertible matrix is undone by its "
                     "inverse, so every layer is a bijection (symbolic; four 5 x 5 layers at four points); the "
                     "one-sided derivatives at 0 are 1 and a")


@chapter.claim("idnu.F50", place="Appendix F", kind=Kind.NUMBER,
               statement="A flow on the same five-dimensional data has a base mixture of 50 components: enough for L.",
               hypotheses=("k = 2", "parameters in general position"))
def flow_components(on: Record) -> None:
    """11 values are needed."""
    on.printed.prove(best_rank(50, 5) == 10, "11 <= 50")


@chapter.claim("idnu.E128", place="Appendix E", kind=Kind.NUMBER,
               statement="128 components are 2^N for N = 7; for d_z = 50 they are enough for L.",
               hypotheses=("k = 2", "all clusters occur"))
def hashed_components(on: Record) -> None:
    """101 values are needed."""
    codes = set(product((0, 1), repeat=7))
    on.printed.prove(len(codes) == 128 and best_rank(len(codes), 50) == 100 and best_rank(64, 50) < 100,
                     "2^7 = 128 codes; 101 <= 128, and 2^6 would not do")


def conv(width: sp.Expr, padding: int, kernel: sp.Expr, stride: int = 1) -> sp.Expr:
    """Width after a convolution or a pooling."""
    return (width + 2 * padding - kernel) / sp.Integer(stride) + 1


def transposed(width: sp.Expr, padding: int, kernel: sp.Expr, stride: int = 1) -> sp.Expr:
    """Width after a transposed convolution."""
    return (width - 1) * stride - 2 * padding + kernel


@chapter.claim("idnu.tabB1", place="Table B.1", kind=Kind.TABLE, covers=("Table B.1",),
               statement="Data dimensions d_x = w x w x n_c with w = 28, n_c = 1 for MNIST and w = 32, n_c = 3 for "
                         "CIFAR10 and SVHN: the d_z in use are all below d_x, and two poolings fit.",
               hypotheses=())
def data_sizes(on: Record) -> None:
    """784 and 3072."""
    sizes = {"MNIST": (28, 1), "CIFAR10": (32, 3), "SVHN": (32, 3)}
    dims = {name: w * w * c for name, (w, c) in sizes.items()}
    on.printed.prove(dims == {"MNIST": 784, "CIFAR10": 3072, "SVHN": 3072} and max(LATENT_DIMS) < min(dims.values())
                     and all(w % 4 == 0 for w, _ in sizes.values()), str(dims))


@chapter.claim("idnu.tabB", place="Tables B.2 to B.4", kind=Kind.TABLE, covers=("Table B.2", "Table B.3", "Table B.4"),
               statement="The layers fit together: the sizes in each row of the encoder and decoder tables follow from "
                         "the row before with the kernel, padding and stride given.",
               hypotheses=("4 divides w for the ConvNet", "32 divides w for the ResNet"),
               scope="fully connected layers fit by construction; weight normalisation and the like")
def layers_fit(on: Record) -> None:
    """Widths as polynomials in w."""
    w = sp.Symbol("w", positive=True)
    steps = [(conv(w, 1, 3), w), (conv(w, 1, 3), w), (conv(w, 0, 2, 2), w / 2), (conv(w / 2, 1, 3), w / 2),
             (conv(w / 2, 1, 3), w / 2), (conv(w / 2, 0, 2, 2), w / 4), (conv(w / 4, 0, w / 4), 1)]
    steps += [(transposed(sp.Integer(1), 0, w / 4), w / 4), (transposed(w / 4, 1, 4, 2), w / 2),
              (transposed(w / 2, 1, 3), w / 2), (transposed(w / 2, 1, 4, 2), w), (conv(w, 1, 3), w)]
    blocks = [(conv(w / 2**i, 0, 2, 2), w / 2 ** (i + 1)) for i in range(5)] + [(conv(w, 0, 1), w)]
    last = {size: [(w / 2**i).subs(w, size) for i in range(6)] for size in (28, 32)}
    on.printed.prove(all(sp.simplify(a - b) == 0 for a, b in steps + blocks)
                     and all(v.is_integer for v in last[32]) and last[32][-1] == 1 and not last[28][-1].is_integer,
                     "ConvNet: w, w/2, w/4, 1 and back, for every w that 4 divides (7, 14, 14, 28; 8, 16, 16, 32 in "
                     "the decoder); ResNet: five halvings, 32 to 1, which 28 does not allow")

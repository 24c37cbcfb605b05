"""Conditional factorial priors: exponential families whose natural parameters depend on an observed u."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ident_theory.errors import InputError, Problem
from ident_theory.exact.rationals import parse_array, shown, to_float
from ident_theory.models.families import FAMILY_NAMES, Family, custom_family, family
from ident_theory.models.value import (
    ExactArray,
    FloatArray,
    Value,
    check_covariance,
    flat_key,
    freeze,
    plain_numbers,
    raise_if,
)

_LARGEST = Fraction(sys.float_info.max)


class ConditionalPrior(Value):
    r"""A factorial exponential family with parameters that depend on u.

    .. math:: p(z \mid u) = \prod_{i=1}^n Q(z_i) \exp\Big(\sum_{j=1}^k \lambda_{ij}(u) T_j(z_i)\Big) / Z_i(u)

    Parameters
    ----------
    family : str
        One of `ident_theory.models.families.FAMILY_NAMES`; ``"custom"`` takes `statistics`, `base` and `support`.
    natural_parameters : array_like, shape (n_u, n, k)
        :math:`\lambda(u)` at the values of u that occur; shape (n_u, n) will do for k = 1.
    weights : array_like, shape (n_u,), optional
        Probabilities of the values of u, positive, summing to one.
    labels : sequence of str, optional
        Names of the values of u, all different.
    statistics, base, support : optional
        For ``family="custom"``: see `ident_theory.models.families.custom_family`.
    location : number, optional
        Known location, for ``family="laplace"``.
    covariance_of_estimates : array_like, shape (n_u, n k, n k), optional
        If the parameters are estimates: the covariances of the flattened :math:`\lambda(u)`, the estimates
        at different u being independent. They turn verdicts about the parameters into statistical ones.
    standard_errors : array_like, shape (n_u, n, k), optional
        The same for estimates that are all independent; give one of the two at most.

    Attributes
    ----------
    family : Family
    natural_exact, natural : ndarray of Fraction and of float64, shape (n_u, n, k)
    weights_exact : ndarray of Fraction or None
    labels : tuple of str or None
    covariance_exact : ndarray of Fraction or None, shape (n_u, n k, n k)
    repairs : tuple of str
        Always empty; mixtures have some.

    Raises
    ------
    ModelError
        Lists every mistake: wrong shapes, parameters outside the family's domain (each named), labels that
        repeat, weights that are no distribution, covariances that are none.
    """

    family: Family
    natural_exact: ExactArray
    natural: FloatArray
    weights_exact: ExactArray | None
    labels: tuple[str, ...] | None
    covariance_exact: ExactArray | None
    repairs: tuple[str, ...]

    def __init__(self, family: str = "normal", natural_parameters: Any = None, *, weights: Any = None,
                 labels: Any = None, statistics: Any = None, base: Any = None, support: Any = None,
                 location: Any = None, covariance_of_estimates: Any = None, standard_errors: Any = None) -> None:
        problems: list[Problem] = []
        fields = read_conditional(
            "", problems, family=family, natural_parameters=natural_parameters, weights=weights, labels=labels,
            statistics=statistics, base=base, support=support, location=location,
            covariance_of_estimates=covariance_of_estimates, standard_errors=standard_errors)
        raise_if(problems, "ConditionalPrior")
        assert fields is not None
        self._set(**fields, natural=to_float(fields["natural_exact"]), repairs=())

    @staticmethod
    def from_means_variances(means: Any, variances: Any, **options: Any) -> ConditionalPrior:
        r"""A normal prior from its means and variances, :math:`\lambda = (\mu/\sigma^2, -1/(2\sigma^2))`.

        Parameters
        ----------
        means, variances : array_like, shape (n_u, n)
            A flat list means n = 1.
        options
            ``weights``, ``labels``, ``covariance_of_estimates`` and ``standard_errors`` of `ConditionalPrior`;
            the errors are those of the natural parameters.
        """
        problems: list[Problem] = []
        natural = read_means_variances(means, variances, "", problems)
        raise_if(problems, "ConditionalPrior")
        return ConditionalPrior("normal", natural, **options)

    @staticmethod
    def from_callable(function: Callable[[Any], Any], points: Iterable[Any], family: str = "normal",
                      **options: Any) -> ConditionalPrior:
        r"""A prior whose parameters are a function of u, at given values of u.

        Only these values count: what is said of the prior afterwards is said of this table. Floats that the
        function returns are taken as the dyadic rationals they hold.

        Parameters
        ----------
        function : callable
            u -> array_like of shape (n, k), or (n,) for k = 1.
        points : iterable
            Values of u.
        family : str
        options
            As for `ConditionalPrior`.
        """
        if not callable(function):
            raise InputError(f"from_callable: expected a function of u, got {type(function).__name__}; "
                             "give a table to ConditionalPrior(natural_parameters=...)")
        return ConditionalPrior(family, [_listed(function(u)) for u in points], **options)

    @property
    def n_values(self) -> int:
        """Number of values of u."""
        return int(self.natural_exact.shape[0])

    @property
    def latent_dim(self) -> int:
        """Dimension n of the latent."""
        return int(self.natural_exact.shape[1])

    @property
    def k(self) -> int:
        """Number of sufficient statistics of each latent."""
        return int(self.natural_exact.shape[2])

    @property
    def is_estimated(self) -> bool:
        """Whether the parameters are estimates with given covariances."""
        return self.covariance_exact is not None

    def label(self, u: int) -> str:
        """Name of a value of u: its label, or its index."""
        return str(u) if self.labels is None else self.labels[u]

    def plain(self) -> dict[str, Any]:
        """The section ``[prior]`` of a model file."""
        tree = {**self.family.plain(), "natural_parameters": plain_numbers(self.natural_exact)}
        if self.weights_exact is not None:
            tree["weights"] = plain_numbers(self.weights_exact)
        if self.labels is not None:
            tree["labels"] = list(self.labels)
        if self.covariance_exact is not None:
            tree["covariance_of_estimates"] = plain_numbers(self.covariance_exact)
        return tree

    def _key(self) -> Hashable:
        return (self.family, flat_key(self.natural_exact), self.labels,
                *(None if array is None else flat_key(array) for array in (self.weights_exact, self.covariance_exact)))

    def __repr__(self) -> str:
        return f"ConditionalPrior(family={self.family.name!r}, natural_parameters={self.natural.tolist()})"


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def read_conditional(path: str, problems: list[Problem], *, family: Any, natural_parameters: Any, weights: Any = None,
                     labels: Any = None, statistics: Any = None, base: Any = None, support: Any = None,
                     location: Any = None, covariance_of_estimates: Any = None,
                     standard_errors: Any = None) -> dict[str, Any] | None:
    """Parse and validate the parts of a conditional prior, recording every problem under `path`."""
    before = len(problems)
    dot = f"{path}." if path else ""
    chosen = _read_family(dot, problems, family, statistics, base, support, location)
    natural = None
    if natural_parameters is None:
        problems.append(Problem(f"{dot}natural_parameters", "an array of shape (n_u, n, k)", "nothing"))
    else:
        natural = parse_array(natural_parameters, f"{dot}natural_parameters", problems)
    if natural is not None:
        natural = _read_natural(natural, chosen, f"{dot}natural_parameters", problems)
    count = None if natural is None else len(natural)
    w = None if weights is None else _read_weights(weights, count, f"{dot}weights", problems)
    names = None if labels is None else _read_labels(labels, count, f"{dot}labels", problems)
    shape = None if natural is None else natural.shape
    covariance = _read_errors(covariance_of_estimates, standard_errors, shape, dot, problems)
    squared = "standard_errors" if covariance_of_estimates is None else "covariance_of_estimates"
    _check_range(natural, f"{dot}natural_parameters", problems)
    _check_range(covariance, f"{dot}{squared}", problems)
    if len(problems) > before:
        return None
    return {"family": chosen, "natural_exact": natural, "weights_exact": w, "labels": names,
            "covariance_exact": covariance}


def read_means_variances(means: Any, variances: Any, path: str, problems: list[Problem]) -> ExactArray | None:
    """Natural parameters of normal laws, shape (n_u, n, 2), from their means and variances."""
    before = len(problems)
    dot = f"{path}." if path else ""
    arrays = []
    for name, value in (("means", means), ("variances", variances)):
        array = parse_array(value, f"{dot}{name}", problems)
        if array is not None and array.ndim == 1:
            array = freeze(array.reshape(-1, 1))
        if array is not None and (array.ndim != 2 or not array.size):
            problems.append(Problem(f"{dot}{name}", "n_u rows of n numbers (or n_u numbers for n = 1)",
                                    f"shape {array.shape}"))
            array = None
        arrays.append(array)
    mu, sigma2 = arrays
    if mu is not None and sigma2 is not None and mu.shape != sigma2.shape:
        problems.append(Problem(f"{dot}variances", f"shape {mu.shape}, that of means", f"shape {sigma2.shape}"))
    for index, value in [] if sigma2 is None else np.ndenumerate(sigma2):
        if value <= 0:
            place = "".join(f"[{i}]" for i in index)
            problems.append(Problem(f"{dot}variances{place}", "a variance > 0", shown(value)))
    if len(problems) > before or mu is None or sigma2 is None:
        return None
    return freeze(np.stack([mu / sigma2, Fraction(-1, 2) / sigma2], axis=2))


def _read_family(dot: str, problems: list[Problem], name: Any, statistics: Any, base: Any, support: Any,
                 location: Any) -> Family | None:
    before = len(problems)
    if not isinstance(name, str) or name not in FAMILY_NAMES:
        near = difflib.get_close_matches(str(name), FAMILY_NAMES, 1, 0.5)
        problems.append(Problem(f"{dot}family", "one of " + ", ".join(FAMILY_NAMES), repr(name),
                                f'did you mean "{near[0]}"?' if near else ""))
        return None
    custom = {"statistics": statistics, "base": base, "support": support}
    given = {key: value for key, value in custom.items() if value is not None}
    if name != "custom":
        problems.extend(Problem(f"{dot}{key}", f'nothing, as family is "{name}"', repr(value),
                                'use family = "custom" for statistics of your own') for key, value in given.items())
        made = _attempt(partial(family, name, location=0 if location is None else location), dot, problems)
        return made or family(name)  # for the mistakes that only the family shows
    if location is not None:
        problems.append(Problem(f"{dot}location", 'nothing, as family is "custom"', repr(location)))
    if "statistics" not in given:
        problems.append(Problem(f"{dot}statistics", 'a list of expressions in z, as family is "custom"', "nothing"))
    for key, value in given.items():  # one at a time, so that every mistake shows
        _attempt(partial(custom_family, **{"statistics": ["z"], key: value}), dot, problems)
    return custom_family(**given) if len(problems) == before else None


def _attempt(make: Callable[[], Family], dot: str, problems: list[Problem]) -> Family | None:
    try:
        return make()
    except InputError as error:
        where, _, rest = str(error).partition(": expected ")
        expected, _, found = rest.rpartition(", got ")
        problems.append(Problem(f"{dot}{where}", expected, found))
        return None


def _read_natural(natural: ExactArray, chosen: Family | None, path: str, problems: list[Problem]) -> ExactArray | None:
    if natural.ndim == 2 and chosen is not None and chosen.k == 1:
        natural = freeze(natural[:, :, None])
    if natural.ndim != 3 or not natural.size:
        problems.append(Problem(path, "shape (n_u, n, k): values of u, latents, statistics", f"shape {natural.shape}"))
        return None
    if chosen is None:
        return natural
    if natural.shape[2] != chosen.k:
        problems.append(Problem(path, f"{chosen.k} numbers a latent, for the statistics "
                                      f"{', '.join(chosen.statistics)}", f"{natural.shape[2]}"))
        return None
    for u, i in np.ndindex(natural.shape[:2]):
        complaint = chosen.domain_problem(tuple(natural[u, i]))
        if complaint is not None:
            problems.append(Problem(f"{path}[{u}][{i}]", f"natural parameters of the family {chosen.name}", complaint))
    return natural


def _check_range(array: ExactArray | None, path: str, problems: list[Problem]) -> None:
    """Model files hold what float64 can; quotients and squares of legal numbers may leave its range."""
    for index, item in [] if array is None else np.ndenumerate(array):
        if abs(item) > _LARGEST:
            places = index[:1] if path.endswith("standard_errors") else index
            problems.append(Problem(path + "".join(f"[{i}]" for i in places), "numbers within the range of float64",
                                    f"{'-' if item < 0 else ''}1e{len(str(abs(int(item)))) - 1} or more"))
            return


def _read_weights(value: Any, count: int | None, path: str, problems: list[Problem]) -> ExactArray | None:
    weights = parse_array(value, path, problems)
    if weights is None:
        return None
    if weights.ndim != 1 or (count is not None and len(weights) != count):
        expected = "a flat list" if count is None else f"{count} numbers, one for each value of u"
        problems.append(Problem(path, expected, f"shape {weights.shape}"))
        return None
    for u, item in enumerate(weights):
        if item <= 0:
            problems.append(Problem(f"{path}[{u}]", "a weight > 0", shown(item),
                                    "leave out values of u that do not occur"))
    if sum(weights) != 1:
        problems.append(Problem(path, "weights that sum to 1 exactly", f"the sum {shown(sum(weights, Fraction(0)))}",
                                'write thirds as "1/3"'))
    return weights


def _read_labels(value: Any, count: int | None, path: str, problems: list[Problem]) -> tuple[str, ...] | None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        problems.append(Problem(path, "a list of names", repr(value)))
        return None
    labels = tuple(str(item) for item in value)
    if count is not None and len(labels) != count:
        problems.append(Problem(path, f"{count} names, one for each value of u", str(len(labels))))
    for u, label in enumerate(labels):
        if label in labels[:u]:
            problems.append(Problem(f"{path}[{u}]", "a name that does not occur before", repr(label)))
    return labels


def _read_errors(covariances: Any, standard_errors: Any, shape: tuple[int, ...] | None, dot: str,
                 problems: list[Problem]) -> ExactArray | None:
    if covariances is not None and standard_errors is not None:
        problems.append(Problem(f"{dot}standard_errors", "covariance_of_estimates or standard_errors", "both"))
        return None
    if standard_errors is not None:
        return _read_standard_errors(standard_errors, shape, f"{dot}standard_errors", problems)
    if covariances is None:
        return None
    path = f"{dot}covariance_of_estimates"
    array = parse_array(covariances, path, problems)
    if array is None or shape is None:
        return array
    size = shape[1] * shape[2]
    if array.shape != (shape[0], size, size):
        problems.append(Problem(path, f"shape {(shape[0], size, size)}", f"shape {array.shape}"))
        return None
    for u in range(shape[0]):
        check_covariance(array[u], f"{path}[{u}]", problems, definite=False)
    return array


def _read_standard_errors(value: Any, shape: tuple[int, ...] | None, path: str,
                          problems: list[Problem]) -> ExactArray | None:
    errors = parse_array(value, path, problems)
    if errors is None or shape is None:
        return None
    if errors.shape == shape[:2] and shape[2] == 1:
        errors = errors[:, :, None]
    if errors.shape != shape:
        problems.append(Problem(path, f"shape {shape}, that of natural_parameters", f"shape {errors.shape}"))
        return None
    for index, item in np.ndenumerate(errors):
        if item < 0:
            problems.append(Problem(path + "".join(f"[{i}]" for i in index), "a standard error >= 0", shown(item)))
    flat = errors.reshape(shape[0], -1)
    covariance = np.full((*flat.shape, flat.shape[1]), Fraction(0), dtype=object)
    for u, i in np.ndindex(flat.shape):
        covariance[u, i, i] = flat[u, i] ** 2
    return freeze(covariance)

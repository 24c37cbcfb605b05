"""Facts about the form of a model, read off its plain tree: what kind of theorem speaks about it at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Tree = Mapping[str, Any]


def is_conditional(tree: Tree) -> bool:
    """Whether the prior is a conditional exponential family with u observed."""
    return "family" in tree["prior"]


def components(prior: Tree) -> set[str]:
    """The distinct components of positive weight of a mixture, as text."""
    rows = zip(prior["weights"], prior["means"], prior["covariances"], strict=True)
    return {repr((mean, covariance)) for weight, mean, covariance in rows if weight != 0}


def _is_mixture(tree: Tree) -> bool:
    return not is_conditional(tree)


def _is_single(tree: Tree) -> bool:
    return not is_conditional(tree) and len(tree["prior"].get("states") or [0]) == 1


def _is_gaussian(tree: Tree) -> bool:
    return not is_conditional(tree) and len(components(tree["prior"])) == 1


def _is_several(tree: Tree) -> bool:
    return not is_conditional(tree) and len(components(tree["prior"])) > 1


def _is_network(tree: Tree) -> bool:
    return str(tree["decoder"]["type"]) == "relu_network"


def _is_affine(tree: Tree) -> bool:
    decoder = tree["decoder"]
    return len(decoder["weights"]) == 1 if _is_network(tree) else decoder.get("breakpoints") == []


def _is_square_affine(tree: Tree) -> bool:
    if not _is_affine(tree):
        return False
    matrix = tree["decoder"]["weights"][0] if _is_network(tree) else tree["decoder"]["slopes"]
    return len(matrix) == len(matrix[0])


def _is_standard(tree: Tree) -> bool:
    if is_conditional(tree):
        return False
    m = len(tree["prior"]["means"][0])
    standard = ([0] * m, [[int(i == j) for j in range(m)] for i in range(m)])
    return components(tree["prior"]) == {repr(standard)}


def statistics_count(tree: Tree) -> int:
    """Number k of sufficient statistics of each latent; 0 for a mixture."""
    return len(tree["prior"]["natural_parameters"][0][0]) if is_conditional(tree) else 0


def _family(name: str) -> Callable[[Tree], bool]:
    return lambda tree: is_conditional(tree) and tree["prior"]["family"] == name


#: Fact id -> what it says, and how it is read off.
FACTS: dict[str, tuple[str, Callable[[Tree], bool]]] = {
    "prior.mixture": ("the prior is a Gaussian mixture whose U is not observed", _is_mixture),
    "prior.conditional": ("the prior is a conditional exponential family with u observed", is_conditional),
    "prior.single": ("there is one hidden variable U", _is_single),
    "prior.gaussian": ("the prior is one Gaussian (J = 1)", _is_gaussian),
    "prior.several": ("the prior has two or more distinct components", _is_several),
    "prior.standard": ("the prior is the standard normal law", _is_standard),
    "decoder.network": ("the decoder is a ReLU or leaky ReLU network", _is_network),
    "decoder.affine": ("the decoder is one affine map", _is_affine),
    "decoder.square_affine": ("the decoder is one affine map with n = m", _is_square_affine),
    "statistics.one": ("each latent has k = 1 sufficient statistic", lambda tree: statistics_count(tree) == 1),
    "statistics.more": ("each latent has k >= 2 sufficient statistics", lambda tree: statistics_count(tree) >= 2),
    "statistics.two": ("each latent has k = 2 sufficient statistics", lambda tree: statistics_count(tree) == 2),
    **{f"family.{name}": (f"the prior is of the {name.replace('_', ' ')} family", _family(name))
       for name in ("normal", "lognormal", "gamma", "inverse_gamma", "beta", "inverse_gaussian")},
}


def facts(tree: Tree) -> dict[str, bool]:
    """Every fact of `FACTS` about a model given as a plain tree."""
    return {name: bool(holds(tree)) for name, (_, holds) in FACTS.items()}

"""Decoders of which only properties are known."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable
from numbers import Integral
from typing import Any

from ident_theory.errors import Problem, UnsupportedError
from ident_theory.models.value import FloatArray, Value, raise_if

#: What can be declared, with what follows from each by definition.
PROPERTIES: dict[str, tuple[str, ...]] = {
    "injective": ("weakly_injective", "observably_injective"),
    "continuous": (),
    "differentiable": ("continuous",),
    "diffeomorphism": ("injective", "weakly_injective", "observably_injective", "continuous", "differentiable"),
    "volume_preserving": (),
    "piecewise_affine": (),
    "weakly_injective": (),
    "observably_injective": (),
}


class DeclaredMap(Value):
    r"""A decoder f from :math:`R^m` to :math:`R^n` known only by what its user declares about it.

    What is concluded from it rests on the user's word (evidence ``declared``). It has no values, so no law.

    Parameters
    ----------
    latent_dim, observed_dim : int
        m and n, both at least one.
    properties : sequence of str
        Out of ``injective``, ``continuous``, ``differentiable``, ``diffeomorphism`` (onto its image),
        ``volume_preserving``, ``piecewise_affine``, ``weakly_injective``, ``observably_injective``. The order
        does not matter.

    Attributes
    ----------
    properties : tuple of str
        As declared, sorted.
    implied : frozenset of str
        These and what follows from them by definition: a diffeomorphism is injective, say.

    Raises
    ------
    ModelError
        Lists every mistake: a property that does not exist, dimensions below one, properties that no map
        between these dimensions has.
    """

    latent_dim: int
    observed_dim: int
    properties: tuple[str, ...]

    def __init__(self, latent_dim: int, observed_dim: int, properties: Iterable[str]) -> None:
        problems: list[Problem] = []
        fields = read_declared(latent_dim, observed_dim, properties, "", problems)
        raise_if(problems, "DeclaredMap")
        assert fields is not None
        self._set(latent_dim=fields[0], observed_dim=fields[1], properties=fields[2])

    @property
    def implied(self) -> frozenset[str]:
        """The declared properties and what follows from them by definition."""
        return _closure(self.properties)

    def __call__(self, z: Any) -> FloatArray:
        """Raises UnsupportedError: a declared map has no values."""
        raise UnsupportedError("decoder: a DeclaredMap has properties but no values; give a ReLUNetwork or a "
                               "PiecewiseAffineMap to evaluate it")

    def plain(self) -> dict[str, Any]:
        """The section ``[decoder]`` of a model file."""
        return {"type": "declared", "latent_dim": self.latent_dim, "observed_dim": self.observed_dim,
                "properties": list(self.properties)}

    def _key(self) -> Hashable:
        return self.latent_dim, self.observed_dim, self.properties

    def __repr__(self) -> str:
        return (f"DeclaredMap(latent_dim={self.latent_dim}, observed_dim={self.observed_dim}, "
                f"properties={list(self.properties)})")


def _closure(properties: Iterable[str]) -> frozenset[str]:
    given = set(properties)
    return frozenset(given.union(*(PROPERTIES[name] for name in given)))


def read_declared(latent_dim: Any, observed_dim: Any, properties: Any, path: str,
                  problems: list[Problem]) -> tuple[int, int, tuple[str, ...]] | None:
    """Validate the parts of a declared map, recording every problem under `path`."""
    before = len(problems)
    dot = f"{path}." if path else ""
    for name, value in (("latent_dim", latent_dim), ("observed_dim", observed_dim)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            problems.append(Problem(f"{dot}{name}", "an integer >= 1", repr(value)))
    if isinstance(properties, str) or not isinstance(properties, Iterable):
        problems.append(Problem(f"{dot}properties", "a list of properties", repr(properties)))
        return None
    names = list(properties)
    for i, name in enumerate(names):
        if not isinstance(name, str) or name not in PROPERTIES:
            near = difflib.get_close_matches(str(name), PROPERTIES, 1, 0.5)
            problems.append(Problem(f"{dot}properties[{i}]", "one of " + ", ".join(PROPERTIES), repr(name),
                                    f'did you mean "{near[0]}"?' if near else ""))
    if len(problems) > before:
        return None
    m, n, implied = int(latent_dim), int(observed_dim), _closure(names)
    if m > n and {"injective", "continuous"} <= implied:
        problems.append(Problem(f"{dot}properties", f"properties of a map from R^{m} to R^{n}",
                                "continuous and injective", "such a map needs observed_dim >= latent_dim"))
    if m != n and "volume_preserving" in implied:
        problems.append(Problem(f"{dot}properties", f"properties of a map from R^{m} to R^{n}", "volume_preserving",
                                "such a map needs observed_dim = latent_dim"))
    return None if len(problems) > before else (m, n, tuple(sorted(set(names))))

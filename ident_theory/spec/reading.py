"""Reading model files: every mistake at once, each with its path, what was expected and what was found."""

from __future__ import annotations

import difflib
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import ValidationError

from ident_theory.errors import InputError, ModelError, Problem, SpecError
from ident_theory.exact.rationals import parse_array, parse_number
from ident_theory.models import (
    ConditionalPrior,
    DeclaredMap,
    FejerNoise,
    GaussianMixture,
    GaussianNoise,
    LaplaceNoise,
    LogisticNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    StudentNoise,
    UniformNoise,
)
from ident_theory.models.conditional import read_conditional, read_means_variances
from ident_theory.models.declared import read_declared
from ident_theory.models.mixture import read_mixture
from ident_theory.models.model import check_dimensions
from ident_theory.models.network import read_network
from ident_theory.models.noise import read_df, read_gaussian_noise, read_scale
from ident_theory.models.piecewise import read_piecewise
from ident_theory.spec.schema import KINDS, PRIORS, MixtureSpec, ModelSpec, prior_kind, section_class

Format = Literal["toml", "json"]
_FRACTION = re.compile(r"\s*([+-]?\d+)\s*/\s*(\d+)\s*")
_LARGEST = Fraction(sys.float_info.max)
#: Keys whose strings are no numbers even where they look like some.
_TEXTS = ("prior.labels", "prior.statistics", "prior.base", "prior.support", "decoder.properties")


def load(path: str | Path) -> Model:
    """Read a model file, ``.toml`` or ``.json``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Model

    Raises
    ------
    SpecError
        Lists every mistake with its path in the file; also for a file that is missing or no text.
    """
    return from_dict(read_tree(path), str(path))


def read_tree(path: str | Path) -> dict[str, Any]:
    """The nested dictionaries of a TOML or JSON file, decimals as Decimal.

    Raises
    ------
    SpecError
        For a file that is missing, no text, or neither TOML nor JSON.
    """
    file = Path(path)
    formats: dict[str, Format] = {".toml": "toml", ".json": "json"}
    if file.is_dir():
        _refuse(str(file), str(file), "a model file", "a directory")
    if file.suffix.lower() not in formats:
        _refuse(str(file), str(file), "a file name ending in .toml or .json", repr(file.suffix))
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        _refuse(str(file), str(file), "a model file", "no such file")
    except OSError as error:
        _refuse(str(file), str(file), "a readable file", str(error.strerror or error))
    except UnicodeDecodeError as error:
        _refuse(str(file), f"byte {error.start}", "text in UTF-8",
                f"the byte 0x{error.object[error.start]:02x} ({error.reason})", "save the file as UTF-8")
    return _parse(text, formats[file.suffix.lower()], str(file))


def loads(text: str, format: Format = "toml") -> Model:
    """Read a model from text in TOML or JSON; see `load`."""
    if format not in ("toml", "json"):
        raise InputError(f'format: expected "toml" or "json", got format={format!r}')
    where = f"model in {format.upper()}"
    return from_dict(_parse(text, format, where), where)


def from_dict(tree: Mapping[str, Any], where: str = "model") -> Model:
    """Build a model from the nested dictionaries and lists that a model file holds.

    Raises
    ------
    SpecError
        Lists every mistake with its path.
    """
    problems: list[Problem] = []
    read = {name: _exact(value, name, problems) for name, value in tree.items()}
    _check_structure(read, problems)
    _check_numbers(read, problems)
    if problems:
        order = ["prior", "decoder", "noise"]
        ranks = {name: rank for rank, name in enumerate(order)}
        problems.sort(key=lambda p: ranks.get(re.split(r"[.\[]", p.path)[0], len(order)))
        raise SpecError(problems, where)
    try:
        return _build(ModelSpec.model_validate(read))
    except ModelError as error:  # what the readers could not see one section at a time
        raise SpecError(error.problems, where) from None


def _parse(text: str, format: Format, where: str) -> dict[str, Any]:
    try:
        tree = _parse_toml(text) if format == "toml" else _parse_json(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        _refuse(where, place.rstrip(")") or "file", "TOML", message[:1].lower() + message[1:])
    except json.JSONDecodeError as error:
        _refuse(where, f"line {error.lineno}, column {error.colno}", "JSON", error.msg[:1].lower() + error.msg[1:])
    except RecursionError:
        _refuse(where, "file", "nesting of a moderate depth", "lists nested too deeply")
    except ValueError as error:  # integers of thousands of digits, doubled keys
        _refuse(where, "file", format.upper(), str(error))
    if not isinstance(tree, dict):
        _refuse(where, "file", "an object with prior, decoder and noise", f"a {type(tree).__name__}")
    return tree


def _parse_toml(text: str) -> Any:
    return tomllib.loads(text, parse_float=Decimal)


def _parse_json(text: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) < len(items):
            keys = [key for key, _ in items]
            raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} twice in one object")
        return result

    return json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=pairs)


def _refuse(where: str, path: str, expected: str, found: str, advice: str = "") -> NoReturn:
    raise SpecError([Problem(path, expected, found, advice)], where) from None


def _exact(value: Any, path: str, problems: list[Problem]) -> Any:
    """Turn ``"p/q"`` into fractions of any length, and refuse numbers that float64 cannot hold."""
    if isinstance(value, Mapping):
        places = {key: f"{path}.{key}" for key in value}
        return {key: item if places[key] in _TEXTS else _exact(item, places[key], problems)
                for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)) and int(match[2]):
        value = Fraction(int(match[1]), int(match[2]))
    # A Decimal beyond the range of the exact numbers is left to the readers, which name it.
    if isinstance(value, int | Fraction) and abs(Fraction(value)) > _LARGEST:
        digits = str(value)
        problems.append(Problem(path, "a number within the range of float64",
                                digits if len(digits) < 30 else f"{digits[:12]}... ({len(digits)} characters)"))
        return Decimal("NaN")  # keeps the array from being read; the complaint about it is dropped below
    if isinstance(value, Decimal) and value.is_finite() and 300 < value.adjusted() <= 400 \
            and abs(Fraction(value)) > _LARGEST:
        problems.append(Problem(path, "a number within the range of float64", str(value)))
        return Decimal("NaN")
    return value


def _check_structure(tree: dict[str, Any], problems: list[Problem]) -> None:
    """Keys, sections and tags, by the schema; a wrong tag is reported and replaced by the likeliest one."""
    for name, kinds in KINDS.items():
        section = tree.get(name)
        if isinstance(section, dict):
            tree[name] = _with_tag(name, section, kinds, problems)
    try:
        ModelSpec.model_validate(tree)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=True):
            problems.append(_problem(item, tree))


def _with_tag(name: str, section: dict[str, Any], kinds: Mapping[str, Any],
              problems: list[Problem]) -> dict[str, Any]:
    tag = section.get("type")
    if isinstance(tag, str) and tag in kinds:
        return section
    choice = "one of " + ", ".join(f'"{kind}"' for kind in kinds)
    near = difflib.get_close_matches(str(tag), kinds, 1, 0.4) if "type" in section else []
    advice = f'did you mean "{near[0]}"?' if near else ""
    problems.append(Problem(f"{name}.type", choice, repr(tag) if "type" in section else "nothing", advice))
    likeliest = near[0] if near else max(kinds, key=lambda kind: len(set(kinds[kind].model_fields) & set(section)))
    return {**section, "type": likeliest}


def _problem(item: Any, tree: dict[str, Any]) -> Problem:
    first, *rest = item["loc"]
    kinds = {"prior": PRIORS, **KINDS}.get(first, {})
    keys = [first, *(key for key in rest if key not in kinds)]
    path = ".".join(str(key) for key in keys)
    if item["type"] == "missing":
        return Problem(path, "a value" if len(keys) > 1 else f"the section [{path}]", "nothing")
    if item["type"] == "extra_forbidden":
        parent = tree if len(keys) == 1 else tree[str(keys[0])]
        kind = ModelSpec if len(keys) == 1 else section_class(str(keys[0]), parent)
        known = list(kind.model_fields) if kind else []
        near = difflib.get_close_matches(str(keys[-1]), [key for key in known if key not in parent] or known, 1, 0.5)
        return Problem(path, "one of the keys " + ", ".join(known), f'the unknown key "{keys[-1]}"',
                       f'did you mean "{near[0]}"?' if near else "")
    return Problem(path, "a section with keys", f"{item['input']!r}")


def _check_numbers(tree: dict[str, Any], problems: list[Problem]) -> None:
    """Everything the model classes demand, section by section, and that the sections fit together."""
    structural = {problem.path for problem in problems}
    found: list[Problem] = []
    prior, decoder, noise = (tree.get(name) if isinstance(tree.get(name), dict) else None
                             for name in ("prior", "decoder", "noise"))
    latent_key, prior_dim = "means", None
    if prior is not None and prior_kind(prior) == "conditional":
        latent_key, prior_dim = "natural_parameters", _check_conditional(prior, found)
    elif prior is not None:
        read_mixture(prior.get("weights"), prior.get("means"), prior.get("covariances"), "prior", found,
                     prior.get("states"), prior.get("neighbourhoods"))
        _check_signs(prior.get("weights"), found)
        prior_dim = _mixture_dim(prior)
    if decoder is not None and decoder["type"] == "relu_network":
        read_network(decoder.get("weights"), decoder.get("biases"), decoder.get("negative_slope", 0), "decoder", found)
    elif decoder is not None and decoder["type"] == "declared":
        read_declared(decoder.get("latent_dim"), decoder.get("observed_dim"), decoder.get("properties"), "decoder",
                      found)
    elif decoder is not None:
        read_piecewise(decoder.get("breakpoints"), decoder.get("slopes"), decoder.get("intercepts"), "decoder", found)
    if noise is not None and noise["type"] == "gaussian":
        read_gaussian_noise(noise.get("std"), noise.get("covariance"), "noise", found)
    elif noise is not None:
        read_scale(noise.get("scale"), "noise.scale", found)
        if noise["type"] == "student":
            read_df(noise.get("df"), "noise.df", found)
    latent, observed = _decoder_dims(decoder)
    noise_dim = _noise_dim(noise)
    if latent is not None and prior_dim is not None:
        if prior is not None and latent_key not in prior:  # normal laws by means and variances
            latent_key = "means"
        check_dimensions(prior_dim, latent, 0, None, found, latent_key)
    if observed is not None and noise_dim is not None:
        check_dimensions(0, 0, observed, noise_dim, found)
    # A key that is missing was reported as such; what the readers say about its absence is noise.
    problems.extend(problem for problem in dict.fromkeys(found)
                    if not any(problem.path == path or problem.path.startswith(path + "[") for path in structural))


def _check_signs(weights: Any, found: list[Problem]) -> None:
    """Negative weights beside an entry that is no number, which keeps `read_mixture` from seeing them."""
    for j, item in enumerate(weights if isinstance(weights, list) else []):
        value = None if isinstance(item, list | dict) else parse_number(item, "", [])
        if value is not None and value < 0:
            found.append(Problem(f"prior.weights[{j}]", "a weight >= 0", str(float(value))))


def _quiet_shape(value: Any) -> tuple[int, ...] | None:
    array = None if value is None else parse_array(value, "", [])
    return None if array is None or not array.size else array.shape


def _mixture_dim(prior: dict[str, Any]) -> int | None:
    """Dimension of the latent, also beside mistakes elsewhere, unless the axes of the means could be states."""
    fields = read_mixture(prior.get("weights"), prior.get("means"), prior.get("covariances"), "", [],
                          prior.get("states"), prior.get("neighbourhoods"))
    if fields is not None:
        return int(fields[1].shape[1])
    weights, shape = _quiet_shape(prior.get("weights")), _quiet_shape(prior.get("means"))
    plain = prior.get("states") is None and (weights is None or len(weights) == 1)
    return (*shape, 1)[1] if plain and shape is not None and len(shape) in (1, 2) else None


def _check_conditional(prior: dict[str, Any], found: list[Problem]) -> int | None:
    """The mistakes of a conditional prior; returns the dimension of its latent where it can be read."""
    fields, natural = dict(prior), prior.get("natural_parameters")
    means, variances = fields.pop("means", None), fields.pop("variances", None)
    if means is not None or variances is not None:
        if natural is not None:
            found.append(Problem("prior.natural_parameters", "natural_parameters, or means and variances", "both"))
        if prior.get("family") != "normal":
            found.append(Problem("prior.means", 'means and variances only for family = "normal"',
                                 f"family = {prior.get('family')!r}", "give natural_parameters"))
        before = len(found)
        for key, value in (("means", means), ("variances", variances)):
            if value is None:
                found.append(Problem(f"prior.{key}", "a value, as means and variances go together", "nothing"))
        natural = read_means_variances(means, variances, "prior", found if len(found) == before else [])
    known = {key: value for key, value in fields.items() if key in PRIORS["conditional"].model_fields}
    rest: list[Problem] = []
    read_conditional("prior", rest, **{**known, "family": prior.get("family"), "natural_parameters": natural})
    unread = natural is None and (means is not None or variances is not None)  # a complaint of its own stands already
    found.extend(problem for problem in rest if not (unread and problem.path == "prior.natural_parameters"))
    shape = _quiet_shape(natural)
    return None if shape is None or len(shape) < 2 else shape[1]


def _decoder_dims(decoder: dict[str, Any] | None) -> tuple[int | None, int | None]:
    if decoder is None:
        return None, None
    if decoder["type"] == "piecewise_affine":
        shape = _quiet_shape(decoder.get("slopes"))
        return 1, None if shape is None or len(shape) not in (1, 2) else (*shape, 1)[1]
    if decoder["type"] == "declared":
        declared = read_declared(decoder.get("latent_dim"), decoder.get("observed_dim"), [], "", [])
        return (None, None) if declared is None else declared[:2]
    weights = decoder.get("weights")
    if not isinstance(weights, list) or not weights:
        return None, None
    first, last = _quiet_shape(weights[0]), _quiet_shape(weights[-1])
    return (first[1] if first is not None and len(first) == 2 else None,
            last[0] if last is not None and len(last) == 2 else None)


def _noise_dim(noise: dict[str, Any] | None) -> int | None:
    if noise is None:
        return None
    shapes: Iterator[tuple[int, ...] | None] = (_quiet_shape(noise.get(key)) for key in ("std", "covariance", "scale"))
    shape = next((shape for shape in shapes if shape), None)
    return None if shape is None else shape[0]


def _build(spec: ModelSpec) -> Model:
    makers: dict[str, Callable[..., Any]] = {
        "relu_network": ReLUNetwork, "piecewise_affine": PiecewiseAffineMap, "declared": DeclaredMap,
        "gaussian": GaussianNoise, "laplace": LaplaceNoise, "logistic": LogisticNoise, "student": StudentNoise,
        "uniform": UniformNoise, "fejer": FejerNoise}

    def make(section: Any) -> Any:
        fields = dict(section)
        return makers[fields.pop("type")](**fields)

    fields = {key: value for key, value in dict(spec.prior).items() if value is not None}
    prior: GaussianMixture | ConditionalPrior
    if isinstance(spec.prior, MixtureSpec):
        prior = GaussianMixture(**fields)
    elif "means" in fields:
        del fields["family"]
        prior = ConditionalPrior.from_means_variances(**fields)
    else:
        prior = ConditionalPrior(**fields)
    return Model(prior, make(spec.decoder), None if spec.noise is None else make(spec.noise))

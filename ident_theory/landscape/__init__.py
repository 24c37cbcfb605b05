"""Likelihood landscapes: slices and planes of the negative log-likelihood, and exhaustive search over families."""

from ident_theory.landscape.executors import executor_for, parse_shard
from ident_theory.landscape.exhaustive import SearchResult, load_search, search
from ident_theory.landscape.families import ParameterFamily, load_family
from ident_theory.landscape.minimisers import MinimiserClass, Minimisers, Verdict
from ident_theory.landscape.neighbours import LocalMinima
from ident_theory.landscape.objective import DataObjective, Evaluation, Objective, PopulationObjective
from ident_theory.landscape.paths import find_parameter, parameter, parameter_paths, with_parameter, with_parameters
from ident_theory.landscape.results import Landscape, Minimum, Plane, Slice
from ident_theory.landscape.scan import Request, landscape_plane, landscape_slice, plane_request, slice_request
from ident_theory.landscape.store import load_landscape, save_landscape

__all__ = [
    "DataObjective",
    "Evaluation",
    "Landscape",
    "LocalMinima",
    "MinimiserClass",
    "Minimisers",
    "Minimum",
    "Objective",
    "ParameterFamily",
    "Plane",
    "PopulationObjective",
    "Request",
    "SearchResult",
    "Slice",
    "Verdict",
    "executor_for",
    "find_parameter",
    "landscape_plane",
    "landscape_slice",
    "load_family",
    "load_landscape",
    "load_search",
    "parameter",
    "parameter_paths",
    "parse_shard",
    "plane_request",
    "save_landscape",
    "search",
    "slice_request",
    "with_parameter",
    "with_parameters",
]

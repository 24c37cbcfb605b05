"""Likelihood landscapes: the negative log-likelihood over one or two parameters, and its local minima."""

from ident_theory.landscape.objective import DataObjective, Evaluation, Objective, PopulationObjective
from ident_theory.landscape.paths import find_parameter, parameter, parameter_paths, with_parameter, with_parameters
from ident_theory.landscape.results import Landscape, Minimum, Plane, Slice
from ident_theory.landscape.scan import Request, landscape_plane, landscape_slice, plane_request, slice_request
from ident_theory.landscape.store import load_landscape, save_landscape

__all__ = [
    "DataObjective",
    "Evaluation",
    "Landscape",
    "Minimum",
    "Objective",
    "Plane",
    "PopulationObjective",
    "Request",
    "Slice",
    "find_parameter",
    "landscape_plane",
    "landscape_slice",
    "load_landscape",
    "parameter",
    "parameter_paths",
    "plane_request",
    "save_landscape",
    "slice_request",
    "with_parameter",
    "with_parameters",
]

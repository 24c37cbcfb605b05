"""Writing models as JSON that reads back to the same rationals."""

from __future__ import annotations

import json
from typing import Any

from ident_theory.models import Model


def to_dict(model: Model) -> dict[str, Any]:
    """The model as nested dictionaries and lists, with integers as int and other rationals as ``"p/q"``."""
    return model.plain()


def to_json(model: Model, indent: int | None = None) -> str:
    """Write a model as JSON; ``loads(to_json(model), "json") == model`` holds exactly.

    Parameters
    ----------
    model : Model
    indent : int, optional
        Spaces of indentation; by default everything stands on one line.
    """
    return json.dumps(to_dict(model), indent=indent)

"""Counterexamples as text that a user can paste."""

from __future__ import annotations

from ident_theory.models import Model
from ident_theory.spec import to_json


def show_models(**models: Model) -> str:
    """Models as model files, each under the name of its file: ``ident-theory check first.json`` reads it."""
    return "\n".join(f"# {name}.json\n{to_json(model)}" for name, model in models.items())

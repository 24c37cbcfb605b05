"""Model descriptions in TOML and JSON: read with every mistake named, written so that they read back equal."""

from ident_theory.spec.reading import from_dict, load, loads
from ident_theory.spec.schema import ModelSpec
from ident_theory.spec.writing import to_dict, to_json

__all__ = ["ModelSpec", "from_dict", "load", "loads", "to_dict", "to_json"]

"""Models of other libraries, converted with a check. Names load on first use: importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ident_theory.errors import UnsupportedError
from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.bridge.loading import load_object
    from ident_theory.bridge.torch_modules import (
        Conversion,
        ConversionMismatchError,
        convert,
        decoder_from_torch,
        from_torch,
    )

__all__ = [
    "Conversion",
    "ConversionMismatchError",
    "convert",
    "decoder_from_torch",
    "from_torch",
    "load_object",
]

_load, __dir__ = lazy_names(__name__, {
    "loading": ("load_object",),
    "torch_modules": ("Conversion", "ConversionMismatchError", "convert", "decoder_from_torch", "from_torch"),
})


def __getattr__(name: str) -> Any:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UnsupportedError(f"{name}: expected torch to be installed, found none; "
                               "run: pip install 'ident_theory[torch]'") from error

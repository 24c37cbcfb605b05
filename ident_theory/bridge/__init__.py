"""Models of other libraries, converted with a check. Names load on first use: importing this loads no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ident_theory.errors import UnsupportedError

if TYPE_CHECKING:
    from ident_theory.bridge.loading import load_object
    from ident_theory.bridge.torch_modules import (
        Conversion,
        ConversionMismatchError,
        convert,
        decoder_from_torch,
        from_torch,
    )

_HOME_OF = {"load_object": "loading", "Conversion": "torch_modules", "ConversionMismatchError": "torch_modules",
            "convert": "torch_modules", "decoder_from_torch": "torch_modules", "from_torch": "torch_modules"}

__all__ = [
    "Conversion",
    "ConversionMismatchError",
    "convert",
    "decoder_from_torch",
    "from_torch",
    "load_object",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UnsupportedError(f"{name}: expected torch to be installed, found none; "
                               "run: pip install 'ident_theory[torch]'") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Checks of certificates and witnesses about conditions on mixture priors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {}

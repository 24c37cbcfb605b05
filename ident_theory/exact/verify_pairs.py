"""Checks of certificates and witnesses about second models with the same law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {}

"""Settings of hypothesis for continuous integration, for development, and for long searches."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from ident_theory.testing import options

#: Name: (examples, the same ones at every run).
PROFILES = {"ci": (100, True), "dev": (30, False), "thorough": (2000, False)}
PREFIX = "ident_"


def register() -> tuple[str, ...]:
    """Register the profiles ``ident_ci``, ``ident_dev`` and ``ident_thorough`` of hypothesis; nothing is loaded.

    ``ident_ci`` draws the same examples at every run and on every machine and keeps no database; none of them has a
    deadline, for exact decisions differ in cost by orders of magnitude. With pytest, ``--ident-profile ci`` registers
    and loads one.

    Returns
    -------
    tuple of str
        The names.
    """
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    # The default profile, not the loaded one: in CI hypothesis loads one that has no database and repeats its examples.
    default = settings.get_profile("default")
    for name, (examples, same) in PROFILES.items():
        chosen = settings(default, max_examples=examples, derandomize=same, deadline=None, print_blob=True,
                          suppress_health_check=slow)
        settings.register_profile(PREFIX + name, settings(chosen, database=None) if same else chosen)
    return tuple(PREFIX + name for name in PROFILES)


def load(name: str) -> None:
    """Register the profiles and load one: ``load("ci")``."""
    options.name("profiles.load", name, tuple(PROFILES), "name")
    register()
    settings.load_profile(PREFIX + name)

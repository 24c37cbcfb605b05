"""Shared settings: hypothesis repeats its examples and sets no deadlines, so a run says the same everywhere."""

from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# Other examples at every run: pytest --hypothesis-profile=random
settings.register_profile("random", settings.get_profile("ci"), derandomize=False)
settings.load_profile("ci")

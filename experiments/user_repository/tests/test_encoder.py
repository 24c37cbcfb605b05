"""Our encoder keeps the rules of an estimator, and recovers linear causes up to an affine map."""

import pytest
from sensors.encoder import Encoder

from ident_theory.testing import EstimatorConformance


class TestEncoder(EstimatorConformance):
    uses_u = False
    order_invariant = True
    kind = "weak"

    @pytest.fixture
    def estimator(self):
        return Encoder(latent_dim=2)

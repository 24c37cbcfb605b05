"""Khemakhem et al.: iVAE."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = (
    "setting", "equivalence", "theorem_1", "posteriors", "theorem_2", "theorem_3", "simulations", "lemma_1", "proof_1",
    "l_matrix", "observations", "discrete", "unidentifiability")

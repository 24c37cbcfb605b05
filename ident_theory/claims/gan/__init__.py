"""Dideriksen et al.: iVAE-GAN."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = ("model", "counts", "loss", "bounds", "adversarial", "training", "scores", "optimum",
                            "removal", "strength", "lemmas", "jacobians")

"""Dideriksen et al.: iVAE-GAN."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = ("model", "loss", "bounds", "adversarial", "training", "optimum", "removal",
                            "strength", "lemmas", "jacobians")

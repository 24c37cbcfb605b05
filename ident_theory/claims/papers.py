"""The five papers, and our own repairs."""

from ident_theory.claims.claim import Paper

#: Its first version, of 2019: the published one numbers and words some statements differently.
IVAE = Paper("ivae", "Variational Autoencoders and Nonlinear ICA: A Unifying Framework (first version)",
             "Khemakhem, Kingma, Hyvärinen", 2019, "khemakhem2020")
GAN = Paper("gan", "iVAE-GAN: Identifiable VAE-GAN Models for Latent Representation Learning",
            "Dideriksen, Derosche, Tan", 2022, "dideriksen2022")
IDNU = Paper("idnu", "I Don't Need u: Identifiable Non-Linear ICA Without Side Information",
             "Willetts, Paige", 2021, "willetts2021")
GIN = Paper("gin", "Disentanglement by Nonlinear ICA with General Incompressible-flow Networks (GIN)",
            "Sorrenson, Rother, Köthe", 2020, "sorrenson2020")
KIVVA = Paper("kivva", "Identifiability of Deep Generative Models without Auxiliary Information",
              "Kivva, Rajendran, Ravikumar, Aragam", 2022, "kivva2022")
REPAIRS = Paper("repair", "Statements that replace proofs of the papers", "Our own repairs", 2026, "")

PAPERS = (IVAE, GAN, IDNU, GIN, KIVVA, REPAIRS)

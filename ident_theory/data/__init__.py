"""Data with everything that is known about it: generators with latents and exact models, images, readers of files.

Names load on first use.
"""

from typing import TYPE_CHECKING

from ident_theory.lazy_names import lazy_names

if TYPE_CHECKING:
    from ident_theory.data.catalogue import Generator, generate, generators
    from ident_theory.data.dataset import Dataset
    from ident_theory.data.embedding import CouplingNetwork, coupling_network, embedded_mixture
    from ident_theory.data.images import digits, mnist, patches
    from ident_theory.data.nonstationary import segments
    from ident_theory.data.planar import parallelograms, pinwheel
    from ident_theory.data.readers import cifar10, idx, npz, svhn
    from ident_theory.data.rendering import render_sprites, sprites
    from ident_theory.data.sampling import sampled
    from ident_theory.data.storage import load_dataset, save_dataset

__all__ = [
    "CouplingNetwork",
    "Dataset",
    "Generator",
    "cifar10",
    "coupling_network",
    "digits",
    "embedded_mixture",
    "generate",
    "generators",
    "idx",
    "load_dataset",
    "mnist",
    "npz",
    "parallelograms",
    "patches",
    "pinwheel",
    "render_sprites",
    "sampled",
    "save_dataset",
    "segments",
    "sprites",
    "svhn",
]

__getattr__, __dir__ = lazy_names(__name__, {
    "catalogue": ("Generator", "generate", "generators"),
    "dataset": ("Dataset",),
    "embedding": ("CouplingNetwork", "coupling_network", "embedded_mixture"),
    "images": ("digits", "mnist", "patches"),
    "nonstationary": ("segments",),
    "planar": ("parallelograms", "pinwheel"),
    "readers": ("cifar10", "idx", "npz", "svhn"),
    "rendering": ("render_sprites", "sprites"),
    "sampling": ("sampled",),
    "storage": ("load_dataset", "save_dataset"),
})

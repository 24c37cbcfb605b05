"""The sources that theorems and findings rest on, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable

from ident_theory.errors import InputError

#: Citation key -> BibTeX entry.
ENTRIES: dict[str, str] = {
    "dideriksen2022": """@article{dideriksen2022,
  author = {Dideriksen, Bj{\\o}rn Uttrup and Derosche, Kristoffer and Tan, Zheng-Hua},
  title = {{iVAE-GAN}: Identifiable {VAE-GAN} Models for Latent Representation Learning},
  journal = {IEEE Access},
  volume = {10},
  pages = {48405--48418},
  year = {2022},
  doi = {10.1109/ACCESS.2022.3172333}
}""",
    "khemakhem2020": """@inproceedings{khemakhem2020,
  author = {Khemakhem, Ilyes and Kingma, Diederik P. and Monti, Ricardo Pio and Hyv{\\"a}rinen, Aapo},
  title = {Variational Autoencoders and Nonlinear {ICA}: A Unifying Framework},
  booktitle = {International Conference on Artificial Intelligence and Statistics},
  year = {2020},
  eprint = {1907.04809},
  archivePrefix = {arXiv}
}""",
    "kivva2022": """@inproceedings{kivva2022,
  author = {Kivva, Bohdan and Rajendran, Goutham and Ravikumar, Pradeep and Aragam, Bryon},
  title = {Identifiability of Deep Generative Models without Auxiliary Information},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  eprint = {2206.10044},
  archivePrefix = {arXiv}
}""",
    "puthawala2022": """@article{puthawala2022,
  author = {Puthawala, Michael and Kothari, Konik and Lassas, Matti and Dokmani{\\'c}, Ivan and de Hoop, Maarten},
  title = {Globally Injective {ReLU} Networks},
  journal = {Journal of Machine Learning Research},
  volume = {23},
  number = {105},
  pages = {1--55},
  year = {2022}
}""",
    "sorrenson2020": """@inproceedings{sorrenson2020,
  author = {Sorrenson, Peter and Rother, Carsten and K{\\"o}the, Ullrich},
  title = {Disentanglement by Nonlinear {ICA} with General Incompressible-flow Networks ({GIN})},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
  eprint = {2001.04872},
  archivePrefix = {arXiv}
}""",
    "willetts2021": """@misc{willetts2021,
  author = {Willetts, Matthew and Paige, Brooks},
  title = {I Don't Need {u}: Identifiable Non-Linear {ICA} Without Side Information},
  year = {2021},
  eprint = {2106.05238},
  archivePrefix = {arXiv}
}""",
}

#: The first part of a claim id of the ledger -> its source.
_SOURCES = {"kivva": "kivva2022", "ivae": "khemakhem2020", "gin": "sorrenson2020", "idnu": "willetts2021",
            "gan": "dideriksen2022"}


def keys_of(references: Iterable[str]) -> set[str]:
    """Citation keys behind references that are keys themselves or claim ids of the ledger; others have none."""
    found = {reference if reference in ENTRIES else _SOURCES.get(reference.split(".")[0], "")
             for reference in references}
    return found - {""}


def bibtex(keys: Iterable[str]) -> str:
    """The entries of some keys, sorted, as one text; empty for none.

    Raises
    ------
    InputError
        For a key that is not in `ENTRIES`.
    """
    wanted = sorted(set(keys))
    for key in wanted:
        if key not in ENTRIES:
            raise InputError(f"bibtex: expected keys among {', '.join(ENTRIES)}, got {key!r}")
    return "\n\n".join(ENTRIES[key] for key in wanted)

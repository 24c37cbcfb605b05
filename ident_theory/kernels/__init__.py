"""Numba kernels: arrays in, arrays out.

Compiled code is cached beside the sources. Numba renews a cached function when its own file changes, but not
when a file it calls into does; after an edit or a pull that would leave old code running. So the caches of all
kernels are dropped as soon as one source is newer than one of them.
"""

from __future__ import annotations

import os
from pathlib import Path


def _drop_stale_caches() -> None:
    here = Path(__file__).parent
    folders = [here / "__pycache__"]
    if root := os.environ.get("NUMBA_CACHE_DIR"):
        folders += Path(root).glob(f"{here.name}_*")
    newest = max(source.stat().st_mtime for source in here.glob("*.py"))
    for folder in folders:
        for index in folder.glob("*.nbi"):
            try:
                if index.stat().st_mtime < newest:
                    index.unlink()
            except OSError:
                continue  # another process was first, or the folder is not ours to write: numba copes with both


_drop_stale_caches()

"""Whether the words of a figure can be read: none overlap, none leave the picture."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

#: Pixels that boxes of words may share: the box of a word is a little larger than its ink.
_SLACK = 2


def _words(figure: Figure) -> list[Any]:
    parts = [figure, *figure.subfigs]
    found = [item for part in parts
             for item in (part._suptitle, part._supxlabel, part._supylabel, *part.legends) if item is not None]
    for axes in figure.axes:
        found += [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            if axes.axison:  # ticks out of view exist, but are not drawn
                low, high = min(low, high), max(low, high)
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                found += [label for tick in ticks for label in (tick.label1, tick.label2)]
        found += [] if axes.axison else list(axes.texts)
    return [item for item in found if item.get_visible() and (not hasattr(item, "get_text") or item.get_text())]


def check_words(figure: Figure) -> None:
    """Assert that titles, labels, ticks and legends lie within the picture and do not overlap."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [(item, item.get_window_extent(renderer)) for item in _words(figure)]
    for item, box in boxes:
        assert box.x0 >= -1, item
        assert box.x1 <= figure.bbox.x1 + 1, item
        assert box.y0 >= -1, item
        assert box.y1 <= figure.bbox.y1 + 1, item
    for (one, a), (two, b) in combinations(boxes, 2):
        if getattr(one, "get_rotation", lambda: 0)() % 90 or getattr(two, "get_rotation", lambda: 0)() % 90:
            continue  # the box around a slanted word says little
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(across, up) < _SLACK, (one, two)


def ink(figure: Figure) -> float:
    """Share of pixels darker than pale grey in a figure that was drawn: a blank one has next to none."""
    return float((np.asarray(figure.canvas.buffer_rgba())[:, :, :3].min(axis=2) < 200).mean())

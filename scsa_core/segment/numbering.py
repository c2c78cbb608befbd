"""The order of regions that were found automatically: numbers follow the area, as a legend shows them."""

from __future__ import annotations

import numpy as np

from scsa_core.labels import LabelMap
from scsa_core.pairing import AS_IT_IS, Pairing


def by_share(content: LabelMap, style: LabelMap, links: Pairing | None = None) -> tuple[LabelMap, LabelMap, Pairing]:
    """The same maps with ids 1, 2, … from the largest region to the smallest, and the links with them.

    A region's size is its share of the content plus its share of the style. Id 0 stays; names
    and colours are those that the new ids begin with. links: None takes shared ids.
    """
    links = links or Pairing.identity(content, style)
    shares = np.sum([np.bincount(m.ids.ravel(), minlength=256) / m.ids.size for m in (content, style)], axis=0)
    order = [k for k in np.argsort(-shares, kind="stable").tolist() if k and shares[k] > 0]
    table = np.zeros(256, np.uint8)
    table[order] = np.arange(1, len(order) + 1)
    known = {0, *order}

    def new(k: int) -> int:
        return k if k == AS_IT_IS else int(table[k])

    renamed = {new(k): tuple(new(s) for s in v if s == AS_IT_IS or s in known) for k, v in links.links.items() if k in known}
    return LabelMap.from_ids(table[content.ids]), LabelMap.from_ids(table[style.ids]), Pairing(renamed)

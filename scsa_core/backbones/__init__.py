"""The families, by name. A new one is a module beside these and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from scsa_core import checkpoints
from scsa_core.backbones import lite, mast, sanet, strotss, styleid, stytr2
from scsa_core.backbones.base import Backbone, BackboneInfo


@dataclass(frozen=True)
class Family:
    """How to load a family, and the (folder, file) pairs that must be there for it.

    check: what else has to be here; raises CheckpointMissing or MissingPackage.
    """

    info: BackboneInfo
    load: Callable[[torch.device], Backbone]
    files: tuple[tuple[str, str], ...]
    check: Callable[[], None] = lambda: None

    def probe(self) -> None:
        """Raise CheckpointMissing if a file is not there, MissingPackage if a package is not. Reads nothing."""
        self.check()
        for folder, name in self.files:
            checkpoints.find(folder, name)


FAMILIES: dict[str, Family] = {
    "lite": Family(lite.INFO, lite.Lite.load, lite.FILES),
    "sanet": Family(sanet.INFO, sanet.SANet.load, tuple(("sanet", name) for name in sanet.FILES)),
    "stytr2": Family(stytr2.INFO, stytr2.StyTr2.load, tuple(("stytr2", name) for name in stytr2.FILES)),
    "styleid": Family(styleid.INFO, styleid.StyleID.load, (), styleid.probe),
    "mast": Family(mast.INFO, mast.Mast.load, mast.FILES),
    "strotss": Family(strotss.INFO, strotss.Strotss.load, strotss.FILES),
}

__all__ = ["FAMILIES", "Backbone", "BackboneInfo", "Family"]

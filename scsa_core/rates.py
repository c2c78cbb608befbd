"""How long this machine takes, as it measures itself while it renders: for estimates, and for how small a preview has to be."""

from __future__ import annotations

import dataclasses

from scsa_core.backbones.base import Capabilities
from scsa_core.plan import Plan, Size, attended, encoding, megapixels
from scsa_core.request import RenderRequest

PREVIEW_SECONDS = 0.25  # that painting a preview may take; the page needs as long again to ask for it and show it
AGAIN_BELOW = 0.5  # times that: a machine this quick was misjudged, as while it compiled its kernels

_Key = tuple[object, ...]


class Rates:
    """Seconds a megapixel of each stage, by family and by the knobs that an encoding depends on. Requests must have their knobs."""

    def __init__(self) -> None:
        self._seconds: dict[_Key, float] = {}
        self._small: dict[_Key, bool] = {}  # by that and a size: whether its previews are smaller than half

    def measured(self, request: RenderRequest, capable: Capabilities, stage: str, seconds: float, *sizes: Size) -> None:
        """A stage was computed whole, on pictures of these sizes together. Later times count as much as all before."""
        key, rate = _key(request, capable, stage), seconds / sum(megapixels(s) for s in sizes)
        self._seconds[key] = 0.5 * self._seconds.get(key, rate) + 0.5 * rate

    def of(self, request: RenderRequest, capable: Capabilities, stage: str) -> float | None:
        """Seconds a megapixel, None where nothing was measured; a draft's are a whole render's until one was made."""
        whole = dataclasses.replace(request, draft=False)
        return self._seconds.get(_key(request, capable, stage), self._seconds.get(_key(whole, capable, stage)))

    def previewed(self, request: RenderRequest, capable: Capabilities) -> RenderRequest:
        """What a preview renders: a draft of half the side that is painted, or of 3/8 where painting half takes long here."""
        assert request.knobs is not None
        side = attended(request.knobs.size, capable)

        def draft(side: int) -> RenderRequest:
            assert request.knobs is not None
            return dataclasses.replace(request, knobs=request.knobs.replace(size=max(side, capable.minimum, 64)), draft=True)

        half = draft(side // 2)
        return draft(side * 3 // 8) if self._slow(half, capable) else half

    def _slow(self, half: RenderRequest, capable: Capabilities) -> bool:
        """Seldom another answer than before: in another size every picture has to be encoded anew."""
        assert half.knobs is not None
        rate = self.of(half, capable, "paint")
        if rate is None:
            return False
        key = (*_key(half, capable, "paint"), half.knobs.size)
        limit = PREVIEW_SECONDS * (AGAIN_BELOW if self._small.get(key) else 1)
        if key not in self._small or self._small[key]:
            self._small[key] = rate * megapixels(Plan.of(half, capable).content_padded) > limit
        return self._small[key]


def _key(request: RenderRequest, capable: Capabilities, stage: str) -> _Key:
    assert request.knobs is not None
    return (request.backbone, stage, request.draft and stage == "match", *encoding(request.knobs, capable).items())

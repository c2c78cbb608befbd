"""How long stages take here, and how small a preview has to be for that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from scsa_core import Engine, RenderRequest
from scsa_core.rates import Rates
from scsa_core.request import RenderResult

MEGAPIXEL = (1000, 1000)


@pytest.fixture
def engine():
    return Engine("cpu")


@pytest.fixture
def capable(engine):
    return engine.info("lite").capabilities


@pytest.fixture
def request_(engine):
    picture = Image.new("RGB", (96, 96))
    return RenderRequest(picture, picture, knobs=engine.defaults("lite").replace(size=512))


def test_later_times_count_as_much_as_all_before(request_, capable):
    rates = Rates()
    assert rates.of(request_, capable, "paint") is None
    rates.measured(request_, capable, "paint", 4.0, MEGAPIXEL, MEGAPIXEL)
    assert rates.of(request_, capable, "paint") == pytest.approx(2.0)
    rates.measured(request_, capable, "paint", 4.0, MEGAPIXEL)
    assert rates.of(request_, capable, "paint") == pytest.approx(3.0)
    assert rates.of(replace(request_, backbone="sanet"), capable, "paint") is None


def test_matching_a_draft_has_a_time_of_its_own_once_it_is_known(request_, capable):
    rates, draft = Rates(), replace(request_, draft=True)
    rates.measured(request_, capable, "match", 4.0, MEGAPIXEL)
    assert rates.of(draft, capable, "match") == pytest.approx(4.0)
    rates.measured(draft, capable, "match", 1.0, MEGAPIXEL)
    assert rates.of(draft, capable, "match") == pytest.approx(1.0)
    assert rates.of(request_, capable, "match") == pytest.approx(4.0)


def side(rates, request, capable):
    previewed = rates.previewed(request, capable)
    assert previewed.draft
    return previewed.knobs.size


def test_a_preview_is_smaller_where_painting_takes_long(request_, capable):
    rates = Rates()
    assert side(rates, request_, capable) == 256  # nothing is known yet
    rates.measured(request_, capable, "paint", 10.0, MEGAPIXEL)
    assert side(rates, request_, capable) == 192
    assert side(rates, replace(request_, knobs=request_.knobs.replace(size=96)), capable) == 64


def test_its_size_seldom_changes(request_, capable):
    rates = Rates()
    for seconds, expected in (
        (1.0, 256), (30.0, 256),  # quick at first: so it stays, or every picture would have to be encoded anew
    ):  # fmt: skip
        rates.measured(request_, capable, "paint", seconds, MEGAPIXEL)
        assert side(rates, request_, capable) == expected
    rates = Rates()
    for seconds, expected in (
        (10.0, 192), (1.0, 192),  # 5.5 a megapixel: a little quicker is no reason
        (1.0, 192), (0.5, 256),  # 1.9: it was compiling its kernels
        (30.0, 256),
    ):  # fmt: skip
        rates.measured(request_, capable, "paint", seconds, MEGAPIXEL)
        assert side(rates, request_, capable) == expected, rates.of(request_, capable, "paint")


def test_the_engine_renders_a_preview_as_they_say(engine, request_, monkeypatch):
    sizes = []

    def rendered(request, **kwargs):
        sizes.append(request.knobs.size)
        return RenderResult(Image.new("RGB", (8, 8)), {}, (), request, 0, "")

    monkeypatch.setattr(engine, "render", rendered)
    assert engine.preview(request_).image.size == (512, 512)
    monkeypatch.setattr(engine._rates, "previewed", lambda request, capable: replace(request, knobs=request.knobs.replace(size=100)))
    engine.preview(request_)
    assert sizes == [256, 100]

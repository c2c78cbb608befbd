"""The switch for torch.compile: off by default, the same pictures when on, and no harm where it fails."""

from __future__ import annotations

import pytest
import torch

from scsa_core.backbones import lite
from scsa_core.compiled import VARIABLE, compile_method, compiled, wanted
from scsa_core.errors import Cancelled, ScsaError
from scsa_core.precision import VARIABLE as PRECISION


def test_the_switch(monkeypatch):
    class Owner:
        def f(self, x):
            return x

    owner = Owner()
    monkeypatch.delenv(VARIABLE, raising=False)
    compile_method(owner, "f")
    assert not wanted() and not vars(owner)  # not even a reference to itself, which would outlive a model that goes
    for value, expected in (("", False), ("0", False), (" 1 ", True)):
        monkeypatch.setenv(VARIABLE, value)
        assert wanted() is expected
    compile_method(owner, "f")
    assert "f" in vars(owner)
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(ScsaError, match="yes"):
        wanted()


@pytest.fixture
def on(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")


def test_a_network_compiles_to_the_same_numbers(on, monkeypatch):
    # Traced, but run by PyTorch's own kernels: no compiler is asked for.
    monkeypatch.setenv(PRECISION, "fp32")
    seen = []

    def by_eager(owner, name):
        seen.append(getattr(owner, name))
        setattr(owner, name, compiled(seen[-1], backend="eager"))

    monkeypatch.setattr(lite, "compile_method", by_eager)
    model = lite.Lite.load(torch.device("cpu"))
    assert len(seen) == 2
    picture = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model.encode(picture, role="style")
        painted = model.stage(0, features["relu4_1"])
        plain = seen[0](picture.contiguous(memory_format=torch.channels_last), ("relu3_1",))
        torch.testing.assert_close(features["relu3_1"], plain["relu3_1"])
        torch.testing.assert_close(painted, seen[1](0, features["relu4_1"]))


def test_what_does_not_compile_is_computed_as_it_stands(on, monkeypatch, caplog):
    tried = []

    def broken(*args):
        tried.append(1)
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", lambda f, **_: broken)
    call = compiled(lambda x: x + 1)
    assert call(1) == 2 and call(2) == 3
    assert len(tried) == 1 and caplog.text.count("no compiler found") == 1


@pytest.mark.parametrize("error", [Cancelled(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_stop_and_a_full_memory_are_passed_on(on, error):
    def f(x):
        raise error

    with pytest.raises(type(error)):
        compiled(f, backend="eager")(torch.ones(1))

"""The regions' colours, as eyes with each kind of colour blindness see them."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from demo.settings import ROOT
from scsa_core.labels import PALETTE

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
APART = 21.0
"""CIE76; 2.3 is just noticed side by side, 10 at a glance."""


def linear(colour):
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]) @ rgb
    t = xyz / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def seen(colour, vision):
    return lab((np.array(VISION[vision]) @ linear(colour)).clip(0, 1))


def closest(colours, vision):
    return min((float(np.linalg.norm(seen(a, vision) - seen(b, vision))), a, b) for a, b in combinations(colours, 2))


def test_the_measure_is_the_usual_one():
    assert np.allclose(lab(linear("#ff0000")), [53.24, 80.09, 67.20], atol=0.05) and np.allclose(lab(linear("#ffffff")), [100, 0, 0], atol=0.05)
    assert closest(["#00aa00", "#dd6600"], "normal")[0] > 60 > 20 > closest(["#00aa00", "#b08a00"], "deuteranopia")[0]


@pytest.mark.parametrize("vision", VISION)
def test_regions_are_told_apart(vision):
    distance, *pair = closest(PALETTE, vision)
    assert distance >= APART, (vision, pair, distance)


def test_the_browser_has_the_same_colours():
    script = (ROOT / "demo" / "web" / "painter_state.js").read_text(encoding="utf-8")
    assert tuple(re.findall(r'"(#[0-9a-f]{6})"', script[script.index("const PALETTE") : script.index("];")])) == PALETTE

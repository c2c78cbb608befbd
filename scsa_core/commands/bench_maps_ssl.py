"""What automatic maps cost a render: `lite` with them, with maps made by hand, and without maps.

Every result is scored on the true regions (SSL of the saved 8-bit picture, network
`vgg16-n`), whatever maps it was painted with: so the automatic maps gain nothing from
their own borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scsa_core.commands.bench_maps import LEAST, read_pair, resampled, true_number
from scsa_core.engine import Engine, RenderRequest
from scsa_core.images import to_tensor
from scsa_core.metrics import MetricNetwork, region_scores
from scsa_core.segment import segment_pair


@dataclass(frozen=True)
class SslRow:
    """SSL of one directed pair, photograph as content: with hand-made maps, automatic maps and no maps."""

    name: str
    given: float
    automatic: float
    baseline: float


def spread(folders: list[Path], count: int) -> list[Path]:
    """`count` of the folders at even steps, so that a short run sees every kind of pair."""
    at = np.unique(np.linspace(0, len(folders) - 1, min(count, len(folders))).round().astype(int))
    return [folders[k] for k in at.tolist()]


def measure(folders: list[Path], size: int, given_number: bool) -> Iterator[SslRow]:
    """One row a pair, as soon as it is known. size: of the square that both pictures are brought to."""
    engine, network = Engine("cpu", cache_bytes=200_000_000), MetricNetwork()
    for folder in folders:
        pair = read_pair(folder)
        number = true_number(pair.truth, LEAST) if given_number else None
        *found, pairing = segment_pair(*pair.pictures, regions=number)
        content, style = (p.convert("RGB").resize((size, size), Image.Resampling.LANCZOS) for p in pair.pictures)
        knobs = engine.defaults("lite").replace(size=size)
        given = RenderRequest(content, style, *pair.truth, knobs=knobs)
        asked = {
            "given": given,
            "automatic": replace(given, content_map=found[0], style_map=found[1], links=pairing.links),
            "baseline": replace(given, method="baseline"),
        }
        of_style = network(to_tensor(style))
        true = pair.truth[0].ids, pair.truth[1].ids
        ssl = {k: region_scores(network(to_tensor(engine.render(r).image)), of_style, *true).ssl for k, r in asked.items()}
        yield SslRow(folder.name, **ssl)


def report(folders: list[Path], size: int, given_number: bool) -> None:
    """Print a row a pair, the means, the paired gap with its interval, and the share of pairs below the baseline."""
    print(f"\nSSL of lite at {size}x{size} on the true regions, number of regions {'given' if given_number else 'automatic'}")
    print("    pair  given maps  automatic maps  no maps")
    rows = []
    for row in measure(folders, size, given_number):
        rows.append(row)
        print(f"{row.name:>8}  {row.given:10.3f}  {row.automatic:14.3f}  {row.baseline:7.3f}", flush=True)
    given, automatic, baseline = (np.array([getattr(r, k) for r in rows]) for k in ("given", "automatic", "baseline"))
    print(f"    mean  {given.mean():10.3f}  {automatic.mean():14.3f}  {baseline.mean():7.3f}")
    low, high = ratio_interval(automatic, given)
    gap = automatic.mean() / given.mean() - 1
    print(f"automatic against given: {gap:+.1%} [{low - 1:+.1%}, {high - 1:+.1%}], 95 % bootstrap over pairs")
    print(f"automatic below no maps on {int((automatic < baseline).sum())} of {len(rows)} pairs, given on {int((given < baseline).sum())}")


def ratio_interval(above: NDArray[np.float64], below: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile bootstrap of mean(above) / mean(below), pairs drawn together."""
    means = resampled(np.stack([above, below], 1))
    low, high = np.quantile(means[:, 0] / means[:, 1], (0.025, 0.975))
    return float(low), float(high)

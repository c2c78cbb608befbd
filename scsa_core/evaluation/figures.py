"""Charts of a report as SVG text, drawn with matplotlib's object interface (no global figure, no display)."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from scsa_core.evaluation.tables import ABLATIONS, WORDS, Summary


def _svg(figure: object) -> str:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight")
    text = out.getvalue()
    return text[text.index("<svg") :]


def ablation_bars(summary: Summary) -> str:
    """Means with intervals of the whole, its ablations and its baseline, one panel for each of SSL, Gram, SWD and CFSD."""
    from matplotlib.figure import Figure

    whole = {v.backbone for v in summary.variants if v.method == "scsa"}
    variants = [v for v in summary.variants if v.backbone in whole and v.method in ("scsa", "baseline", *ABLATIONS)]
    metrics = [m for m in ("ssl", "gram", "swd", "cfsd") if any((v, m) in summary.means for v in variants)]
    if not variants or not metrics:
        return ""
    figure = Figure(figsize=(3.2 * len(metrics), 0.45 * len(variants) + 1.2))
    panels = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for panel, metric in zip(panels, metrics, strict=True):
        for y, v in enumerate(variants):
            found = summary.means.get((v, metric))
            if found is None:
                continue
            panel.barh(y, found.mean, color="#3a6ea5" if v.method == "scsa" else "#b8c4d0")
            if found.low == found.low:
                panel.plot([found.low, found.high], [y, y], color="black", linewidth=1.5)
        panel.set_title(WORDS[metric], fontsize=10)
        panel.set_yticks(range(len(variants)), [v.title for v in variants], fontsize=8)
        panel.invert_yaxis()
    return _svg(figure)


def scatter(summary: Summary) -> str:
    """Content distance against style distance (SSL): a point a method with its intervals, a faint one a pair."""
    from matplotlib.figure import Figure

    across = next((m for m in ("lpips", "content_distance", "cfsd") if any((v, m) in summary.means for v in summary.variants)), "")
    if not across:
        return ""
    figure = Figure(figsize=(7, 4.6))
    panel = figure.subplots()
    for k, v in enumerate(summary.variants):
        if (v, across) not in summary.means or (v, "ssl") not in summary.means:
            continue
        x, y = summary.means[(v, across)], summary.means[(v, "ssl")]
        a, b = summary.per_pair[(v, across)], summary.per_pair[(v, "ssl")]
        both = sorted(set(a) & set(b))
        colour, marker = f"C{k % 10}", "osD^vP*X<>"[k % 10]
        panel.scatter([a[p] for p in both], [b[p] for p in both], s=8, alpha=0.25, color=colour, marker=marker, linewidths=0)
        panel.plot(x.mean, y.mean, marker=marker, color=colour, markersize=9, linestyle="", label=v.title)
        if x.low == x.low:
            panel.plot([x.low, x.high], [y.mean, y.mean], color=colour)
            panel.plot([x.mean, x.mean], [y.low, y.high], color=colour)
    panel.set_xlabel(f"content distance ({WORDS[across]})")
    panel.set_ylabel("style distance (SSL)")
    panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return _svg(figure)


def sweep_map(values: Mapping[tuple[float, float], float], pictures: Mapping[tuple[float, float], Image.Image], title: str) -> str:
    """Heat map of SSL over α₁ (across) and α₂ (up), and the same grid of pictures beside it."""
    from matplotlib.figure import Figure

    firsts, seconds = (sorted({k[axis] for k in values}) for axis in (0, 1))
    if len(firsts) < 2 or len(seconds) < 2:
        return ""
    grid = np.array([[values.get((a, b), np.nan) for a in firsts] for b in seconds])
    figure = Figure(figsize=(12, 5.6))
    heat, gallery = figure.subplots(1, 2)
    image = heat.imshow(grid, origin="lower", cmap="viridis")
    for i, j in np.ndindex(grid.shape):
        heat.text(j, i, f"{grid[i, j]:.2f}", ha="center", va="center", fontsize=8, color="white")
    figure.colorbar(image, ax=heat, shrink=0.8, label="SSL")
    side = 120
    sheet = Image.new("RGB", (side * len(firsts), side * len(seconds)), "white")
    for j, a in enumerate(firsts):
        for i, b in enumerate(seconds):
            if (a, b) in pictures:
                tile = pictures[(a, b)].resize((side, side), Image.Resampling.LANCZOS)
                sheet.paste(tile, (j * side, (len(seconds) - 1 - i) * side))
    gallery.imshow(np.asarray(sheet), extent=(-0.5, len(firsts) - 0.5, -0.5, len(seconds) - 0.5))
    for panel in (heat, gallery):
        panel.set_xticks(range(len(firsts)), [f"{a:g}" for a in firsts])
        panel.set_yticks(range(len(seconds)), [f"{b:g}" for b in seconds])
        panel.set_xlabel("α₁")
        panel.set_ylabel("α₂")
    heat.set_title(title, fontsize=10)
    return _svg(figure)

"""What the rows say: means with intervals, paired comparisons, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scsa_core.evaluation.rows import METRICS, NONE, TRIVIAL, Row, Variant
from scsa_core.evaluation.stats import Interval, Paired, holm, interval, paired
from scsa_core.knobs import ALL_METHODS

WORDS = {
    "ssl": "SSL", "gram": "Gram", "swd": "SWD", "cfsd": "CFSD", "content_distance": "PD-vgg16-n", "lpips": "LPIPS",
    "colour": "Colour, whole", "colour_regions": "Colour, regions",
}  # fmt: skip
COMPARED = ("ssl", "gram", "swd", "cfsd")
ABLATIONS = ("sca", "ssa", "no_sadain")


@dataclass(frozen=True)
class Comparison:
    """`ours` against `other` on one metric; p is Holm's over the comparisons of that metric."""

    metric: str
    ours: Variant
    other: Variant
    result: Paired
    corrected: float


@dataclass(frozen=True)
class Summary:
    """means[(variant, metric)]; seconds: median of a render. n: pairs."""

    network: str
    size: str
    variants: tuple[Variant, ...]
    means: dict[tuple[Variant, str], Interval]
    seconds: dict[Variant, float]
    comparisons: tuple[Comparison, ...]
    pairs: int
    directions: int
    per_pair: dict[tuple[Variant, str], dict[str, float]]


def summaries(rows: Iterable[Row], *, resamples: int = 9999) -> list[Summary]:
    """One for each (network, size): figures of two networks or sizes never stand in one table."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["size"]), []).append(row)
    return [_summary(network, size, found, resamples) for (network, size), found in groups.items()]


def _summary(network: str, size: str, rows: list[Row], resamples: int) -> Summary:
    main = main_variants(rows)
    values: dict[tuple[Variant, str], dict[str, list[float]]] = {}
    seconds: dict[Variant, list[float]] = {}
    for row in rows:
        variant = Variant.of_row(row)
        if variant not in main:
            continue
        seconds.setdefault(variant, []).append(float(row["seconds"] or "nan"))
        for metric in METRICS:
            if row.get(metric, "") not in ("", "nan"):
                values.setdefault((variant, metric), {}).setdefault(row["pair"], []).append(float(row[metric]))
    per_pair = {k: {p: float(np.mean(v)) for p, v in by.items()} for k, by in values.items()}
    means = {k: interval(np.array(list(by.values())), resamples=resamples) for k, by in per_pair.items()}
    found = []
    for metric in COMPARED:
        raw = []
        for ours in (v for v in main if v.method == "scsa"):
            for other in (v for v in main if v != ours and v.backbone in (ours.backbone, NONE, *_rivals(main))):
                a, b = per_pair.get((ours, metric), {}), per_pair.get((other, metric), {})
                both = sorted(set(a) & set(b))
                if both:
                    raw.append((ours, other, paired(np.array([a[p] for p in both]), np.array([b[p] for p in both]), resamples=resamples)))
        corrected = holm([r.p for _, _, r in raw])
        found += [Comparison(metric, ours, other, r, p) for (ours, other, r), p in zip(raw, corrected, strict=True)]
    pairs, directions = ({r[k] for r in rows} for k in ("pair", "direction"))
    medians = {v: float(np.nanmedian(s)) for v, s in seconds.items()}
    return Summary(network, size, tuple(main), means, medians, tuple(found), len(pairs), len(directions), per_pair)


def _rivals(variants: Iterable[Variant]) -> set[str]:
    """Backbones without SCSA of their own stand against everybody's."""
    named = {v.backbone for v in variants}
    return named - {v.backbone for v in variants if v.method == "scsa"}


def main_variants(rows: Sequence[Row]) -> list[Variant]:
    """The variants of the table: of the many α of a sweep only the one with most rows of each method."""
    counts: dict[Variant, int] = {}
    for row in rows:
        variant = Variant.of_row(row)
        counts[variant] = counts.get(variant, 0) + 1
    best: dict[tuple[str, str], Variant] = {}
    for variant, count in counts.items():
        name = (variant.backbone, variant.method)
        if name not in best or count > counts[best[name]]:
            best[name] = variant
    backbones = list(dict.fromkeys([NONE, *(v.backbone for v in best.values())]))
    order = {name: k for k, name in enumerate((*TRIVIAL, *ALL_METHODS))}
    return sorted(best.values(), key=lambda v: (backbones.index(v.backbone), order.get(v.method, len(order))))


def worse_ablations(summary: Summary) -> dict[Variant, list[str]]:
    """Ablation -> metrics of SSL, Gram and SWD on which it is worse than the whole with an interval that excludes 0."""
    out: dict[Variant, list[str]] = {}
    for c in summary.comparisons:
        if c.other.method in ABLATIONS and c.other.backbone == c.ours.backbone:
            out.setdefault(c.other, [])
            if c.metric != "cfsd" and c.result.difference.excludes_zero and c.result.difference.mean < 0:
                out[c.other].append(WORDS[c.metric])
    return out


def shown(value: Interval) -> str:
    """`0.662 [0.61, 0.71]`, or the mean alone where there are too few pairs."""
    if value.low != value.low:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def metrics_of(summary: Summary) -> list[str]:
    """Those that at least one row has."""
    return [m for m in METRICS if any((v, m) in summary.means for v in summary.variants)]


def head(summary: Summary) -> str:
    """What stands above every table: network, size and number."""
    return (
        f"{summary.pairs} pairs × {summary.directions} directions, {summary.size} px, metric network `{summary.network}`; "
        "mean over pairs [95 % BCa bootstrap interval], lower is better, seconds are the median of a render"
    )


def method_table(summary: Summary) -> list[list[str]]:
    """Head and rows."""
    metrics = metrics_of(summary)
    table = [["", *(WORDS[m] for m in metrics), "seconds"]]
    for v in summary.variants:
        cells = [shown(summary.means[(v, m)]) if (v, m) in summary.means else "" for m in metrics]
        table.append([v.title, *cells, f"{summary.seconds.get(v, float('nan')):.2f}"])
    return table


def comparison_table(summary: Summary) -> list[list[str]]:
    """Head and rows of every paired comparison."""
    table = [["metric", "", "against", "difference", "relative", "pairs won [Wilson]", "p (Wilcoxon, Holm)"]]
    for c in summary.comparisons:
        r = c.result
        known = r.difference.low == r.difference.low
        d = f"{r.difference.mean:+.4f}" + (f" [{r.difference.low:+.4f}, {r.difference.high:+.4f}]" if known else "")
        p = "" if c.corrected != c.corrected else "< 0.0001" if c.corrected < 1e-4 else f"{c.corrected:.4f}"
        won = f"{r.won:.0%} [{r.won_low:.0%}, {r.won_high:.0%}]"
        table.append([WORDS[c.metric], c.ours.title, c.other.title, d, f"{r.relative:+.1%}" if r.relative == r.relative else "", won, p])
    return table


def markdown(summaries_: Sequence[Summary], notes: Sequence[str], command: str) -> str:
    """`summary.md`."""
    out = ["# Evaluation", "", f"`{command}`", ""]
    for s in summaries_:
        out += [head(s) + ".", "", *_markdown_table(method_table(s)), ""]
        if s.comparisons:
            out += ["Paired over pairs:", "", *_markdown_table(comparison_table(s)), ""]
        for variant, worse in worse_ablations(s).items():
            said = f"worse than the whole on {', '.join(worse)}" if worse else "not shown to be worse than the whole"
            out.append(f"- {variant.title}: {said}.")
        out.append("")
    return "\n".join([*out, *(f"- {note}" for note in notes), ""])


def _markdown_table(table: list[list[str]]) -> list[str]:
    rule = "|" + "---|" * len(table[0])
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return [lines[0], rule, *lines[1:]]

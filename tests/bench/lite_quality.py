"""Quality of the shipped model on picture pairs with maps: one table, one CSV, one contact sheet.

    python tests/bench/lite_quality.py --pairs ../shared/data/sem_pairs --size 512 --out reports/lite

Every pair `<id>/{<id>.jpg, <id>_paint.jpg, <id>_sem.png, <id>_paint_sem.png}` is rendered in
both directions. The unit of evidence is the pair: its two directions are averaged first.
Intervals are 95 % BCa bootstrap over pairs (9,999 resamples, fixed seed). Figures are of the
saved 8-bit picture, on the network `vgg16-n`. Rows already in the CSV are not computed again.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import bootstrap

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scsa_core.engine import Engine, RenderRequest
from scsa_core.images import load_image, to_image, to_tensor
from scsa_core.knobs import METHODS
from scsa_core.labels import LabelMap, read_maps
from scsa_core.metrics import MetricNetwork, cfsd, region_scores
from scsa_core.metrics.network import LAYERS

FIELDS = ("pair", "direction", "method", "ssl", "gram", "swd", "cfsd", "seconds", *LAYERS)
TRIVIAL = ("content", "colour")


def colour_match(content: torch.Tensor, style: torch.Tensor, content_map: LabelMap, style_map: LabelMap) -> torch.Tensor:
    """The trivial rival: each region takes its style region's RGB mean and deviation. No network."""
    out = content.clone()
    a, b = (torch.from_numpy(m.resized((x.shape[-1], x.shape[-2])).ids.copy()) for m, x in ((content_map, content), (style_map, style)))
    for region in content_map.region_ids:
        source = style[0][:, b == region]
        if source.shape[1]:
            x = content[0][:, a == region]
            scale = source.std(1, keepdim=True) / (x.std(1, keepdim=True) + 1e-5)
            out[0][:, a == region] = (x - x.mean(1, keepdim=True)) * scale + source.mean(1, keepdim=True)
    return out


def measure(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    table = args.out / "results.csv"
    done = {(r["pair"], r["direction"], r["method"]) for r in read(table)}
    engine, network = Engine("cpu", cache_bytes=400_000_000), MetricNetwork()
    knobs = engine.defaults("lite").replace(alpha1=args.alpha1, alpha2=args.alpha2, size=args.size)
    fresh = not table.exists()
    with table.open("a", newline="") as f:
        writer = csv.DictWriter(f, FIELDS)
        if fresh:
            writer.writeheader()
        for folder in sorted(args.pairs.iterdir(), key=lambda p: int(p.name))[args.first : args.last]:
            stem = folder / folder.name
            for direction, sides in (("forward", ("", "_paint")), ("reverse", ("_paint", ""))):
                wanted = [m for m in (*TRIVIAL, *args.methods) if (folder.name, direction, m) not in done]
                if not wanted:
                    continue
                pictures = [load_image(f"{stem}{s}.jpg") for s in sides]
                maps = read_maps(*(f"{stem}{s}_sem.png" for s in sides))
                assert maps[0] is not None
                assert maps[1] is not None
                content, style = (to_tensor(p.resize((args.size, args.size), Image.Resampling.LANCZOS)) for p in pictures)
                squares = [to_image(content), to_image(style)]
                of_style, of_content = network(style), network(content, ("relu3_1",))["relu3_1"]
                request = RenderRequest(*squares, *maps, knobs=knobs)
                for method in wanted:
                    started = time.perf_counter()
                    if method == "content":
                        image = squares[0]
                    elif method == "colour":
                        image = to_image(colour_match(content, style, *maps))
                    else:
                        image = engine.render(replace(request, method=method)).image
                    seconds = time.perf_counter() - started
                    if args.pictures and method not in TRIVIAL:
                        image.save(args.out / f"{folder.name}_{direction}_{method}.jpg", quality=90)
                    taps = network(to_tensor(image))
                    scores = region_scores(taps, of_style, maps[0].ids, maps[1].ids)
                    row = {
                        "pair": folder.name, "direction": direction, "method": method, "ssl": scores.ssl, "gram": scores.gram,
                        "swd": scores.swd, "cfsd": cfsd(of_content, taps["relu3_1"]), "seconds": seconds, **scores.layers,
                    }  # fmt: skip
                    writer.writerow(row)
                    f.flush()
                print(folder.name, direction, flush=True)


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="") as f:
        return list(csv.DictReader(f))


def interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 3 or np.ptp(values) == 0:
        return float(values.min()), float(values.max())
    found = bootstrap((values,), np.mean, n_resamples=9999, random_state=np.random.default_rng(0)).confidence_interval
    return float(found.low), float(found.high)


def report(args: argparse.Namespace) -> None:
    rows = read(args.out / "results.csv")
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for r in rows:
        for metric in ("ssl", "gram", "swd", "cfsd"):
            values.setdefault((r["method"], metric), {}).setdefault(r["pair"], []).append(float(r[metric]))
    means = {k: {p: float(np.mean(v)) for p, v in by.items()} for k, by in values.items()}
    methods = list(dict.fromkeys(r["method"] for r in rows))
    print(f"\nlite, {args.size} px, vgg16-n, {len({r['pair'] for r in rows})} pairs x 2 directions; mean [95 % interval over pairs]")
    for method in methods:
        cells = []
        for metric in ("ssl", "gram", "swd", "cfsd"):
            v = np.array(list(means[(method, metric)].values()))
            low, high = interval(v)
            cells.append(f"{metric} {v.mean():.3f} [{low:.3f}, {high:.3f}]")
        print(f"{method:10s} " + "  ".join(cells))
    for metric in ("ssl", "gram", "swd", "cfsd"):
        print(f"\n{metric}, against others (paired difference, share of directed renders won by scsa)")
        for other in methods:
            if other == "scsa" or ("scsa", metric) not in means:
                continue
            pairs = sorted(set(means[("scsa", metric)]) & set(means[(other, metric)]))
            a, b = (np.array([means[(m, metric)][p] for p in pairs]) for m in ("scsa", other))
            x, y = ([v for p in pairs for v in values[(m, metric)][p]] for m in ("scsa", other))
            low, high = interval(a - b)
            won = np.mean([i < j for i, j in zip(x, y, strict=False)])
            print(f"  scsa - {other:10s} {np.mean(a - b):+.3f} [{low:+.3f}, {high:+.3f}]  {a.mean() / b.mean() - 1:+.1%}  lower on {won:.0%}")


def reconstruction(args: argparse.Namespace) -> None:
    engine = Engine("cpu")
    model = engine.load("lite")
    values = {}
    with torch.inference_mode():
        for folder in sorted(args.pairs.iterdir(), key=lambda p: int(p.name)):
            x = to_tensor(load_image(folder / f"{folder.name}.jpg").resize((256, 256), Image.Resampling.LANCZOS))
            out = model.decoder(model.encode(x, role="content")["relu4_1"]).clamp(0, 1)  # type: ignore[attr-defined]
            values[folder.name] = -10 * np.log10((out - x).square().mean().item())
    v = np.array(list(values.values()))
    print(f"reconstruction at 256 px over {len(v)} photos: {v.mean():.2f} dB mean, {v.min():.2f} worst ({min(values, key=values.__getitem__)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("reports/lite"))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--alpha1", type=float)
    parser.add_argument("--alpha2", type=float)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=None)
    parser.add_argument("--pictures", action="store_true", help="keep every render as JPEG in the folder")
    parser.add_argument("--reconstruction", action="store_true", help="only the decoder's PSNR on the photos")
    args = parser.parse_args()
    if args.reconstruction:
        reconstruction(args)
        return
    measure(args)
    report(args)


if __name__ == "__main__":
    main()

"""`index.html`: tables, charts and a sortable gallery in one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from scsa_core.errors import ImageError
from scsa_core.evaluation import figures
from scsa_core.evaluation.rows import Row, Variant
from scsa_core.evaluation.tables import WORDS, Summary, comparison_table, head, main_variants, method_table, worse_ablations
from scsa_core.images import load_image
from scsa_core.reference_files import PairFiles

THUMB = 176

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1500px;padding:16px;color:#1d2733;background:#fff}
h1{font-size:24px}h2{font-size:19px;margin-top:36px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
td,th{padding:4px 10px;border-bottom:1px solid #dde3ea;text-align:left;white-space:nowrap}
th{background:#f3f6f9}svg{max-width:100%;height:auto}.pair{border-top:1px solid #dde3ea;padding:10px 0}
.tiles{display:flex;gap:8px;overflow-x:auto}figure{margin:0;flex:0 0 auto;width:176px}figure img{width:176px;height:auto;display:block}
figcaption{font-size:12px}select{font:inherit;min-height:40px}code{background:#f3f6f9;padding:1px 4px;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#12171d;color:#e6ebf0}th,code{background:#1e2730}td,th,.pair{border-color:#33404d}svg{background:#fff}}
"""
_SCRIPT = """
const by=document.getElementById('by'),list=document.getElementById('gallery');
function sort(){const k=by.value;const all=[...list.children];
 const v=e=>k==='name'?-Number(e.dataset.order):Number(e.dataset[k]);
 all.sort((a,b)=>{const x=v(a),y=v(b);return (isNaN(y)?-Infinity:y)-(isNaN(x)?-Infinity:x)});list.append(...all)}
by.addEventListener('change',sort);
"""


def page(
    summaries: Sequence[Summary], rows: Sequence[Row], pairs: Sequence[PairFiles], renders: Path, notes: Sequence[str], command: str
) -> str:
    """The whole file. Pictures that are not in `renders` leave their place empty."""
    parts = ["<h1>Evaluation</h1>", f"<p><code>{html.escape(command)}</code></p>"]
    for s in summaries:
        parts += [f"<h2>{html.escape(s.network)}, {html.escape(s.size)} px</h2>", f"<p>{_code(head(s))}.</p>", _table(method_table(s))]
        if s.comparisons:
            parts += ["<h2>Paired comparisons</h2>", _table(comparison_table(s))]
        worse = worse_ablations(s)
        if worse:
            said = [f"{v.title}: {'worse on ' + ', '.join(m) if m else 'not shown to be worse'}" for v, m in worse.items()]
            parts.append(f"<p>Ablations, by paired intervals on SSL, Gram and SWD: {html.escape('; '.join(said))}.</p>")
        parts += ["<h2>Ablations</h2>", figures.ablation_bars(s), "<h2>Content against style</h2>", figures.scatter(s)]
    parts += _sweeps(rows, renders)
    parts += ["<h2>Every pair</h2>", _gallery(rows, pairs, renders)]
    parts += ["<h2>Notes</h2><ul>", *(f"<li>{html.escape(n)}</li>" for n in notes), "</ul>"]
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Evaluation</title><style>{_STYLE}</style><body>{body}<script>{_SCRIPT}</script></body></html>\n"
    )


def _code(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if k % 2 else p for k, p in enumerate(parts))


def _table(table: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(c)}</th>" for c in table[0])
    lines = ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in table[1:]]
    return f"<div class=wide><table><tr>{top}</tr>{''.join(lines)}</table></div>"


def _sweeps(rows: Sequence[Row], renders: Path) -> list[str]:
    """One heat map for each family with a sweep; pictures of its first pair."""
    found: dict[tuple[str, str, str], dict[tuple[float, float], list[Row]]] = {}
    for row in rows:
        if row["method"] == "scsa" and row["alpha1"] and row["direction"] == "forward":
            at = (float(row["alpha1"]), float(row["alpha2"]))
            found.setdefault((row["backbone"], row["network"], row["size"]), {}).setdefault(at, []).append(row)
    out = []
    for (backbone, network, size), cells in found.items():
        # Every cell is the mean over the same pairs: those that have the whole sweep.
        shared = set.intersection(*({r["pair"] for r in v} for v in cells.values()))
        if len(cells) < 4 or not shared:
            continue
        values = {k: sum(float(r["ssl"]) for r in v if r["pair"] in shared) / len(shared) for k, v in cells.items()}
        first = min(shared)
        pictures = {}
        for k, v in cells.items():
            for r in v:
                if r["pair"] == first and r["file"] and (renders / r["file"]).exists():
                    pictures[k] = Image.open(renders / r["file"]).convert("RGB")
        chart = figures.sweep_map(values, pictures, f"{backbone} SCSA, {network}, {size} px, {len(shared)} pairs")
        if chart:
            out += [f"<h2>α₁ × α₂: {html.escape(backbone)}</h2>", chart]
    return out


def _gallery(rows: Sequence[Row], pairs: Sequence[PairFiles], renders: Path) -> str:
    """Every directed pair with all its pictures, the worst SSL of SCSA (or of the last method) first."""
    variants = main_variants(rows)
    lead = next((v for v in variants if v.method == "scsa"), variants[-1] if variants else None)
    files = {p.id: p for p in pairs}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if Variant.of_row(row) in variants:
            groups.setdefault((row["pair"], row["direction"]), []).append(row)
    blocks = []
    for order, ((pair, direction), found) in enumerate(groups.items()):
        mine = next((r for r in found if Variant.of_row(r) == lead), found[0])
        data = " ".join(f"data-{m}='{html.escape(mine[m])}'" for m in ("ssl", "gram", "swd", "cfsd"))
        tiles = _sources(files.get(pair), direction)
        for row in found:
            if row["method"] == "content":
                continue
            numbers = f"SSL {float(row['ssl']):.3f}, SWD {float(row['swd']):.3f}, CFSD {float(row['cfsd']):.3f}"
            path = renders / row["file"] if row["file"] else None
            picture = Image.open(path) if path is not None and path.exists() else None
            tiles.append(_tile(picture, Variant.of_row(row).title, numbers))
        name = f"<strong>{html.escape(pair)} {html.escape(direction)}</strong>"
        block = f"<div class=pair data-order={order} {data}>{name}<div class=tiles>{''.join(tiles)}</div></div>"
        blocks.append((float(mine["ssl"]), block))
    blocks.sort(key=lambda b: -b[0])
    orders = {m: f"worst {w} first" for m, w in WORDS.items() if m in ("ssl", "swd", "gram", "cfsd")} | {"name": "by name"}
    options = "".join(f"<option value={k}>{w}</option>" for k, w in orders.items())
    title = html.escape(lead.title) if lead else ""
    return f"<p><label>Order, by {title}: <select id=by>{options}</select></label></p><div id=gallery>{''.join(b for _, b in blocks)}</div>"


def _sources(pair: PairFiles | None, direction: str) -> list[str]:
    if pair is None:
        return []
    directed = pair if direction == "forward" else pair.swapped()
    out = []
    for path, word in ((directed.first, "content"), (directed.second, "style")):
        try:
            out.append(_tile(load_image(path), word, ""))
        except (ImageError, OSError):
            out.append(_tile(None, word, ""))
    return out


def _tile(picture: Image.Image | None, title: str, numbers: str) -> str:
    shown = ""
    if picture is not None:
        small = picture.convert("RGB")
        small.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        small.save(data, "JPEG", quality=82)
        shown = f"<img loading=lazy alt='{html.escape(title)}' src='data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}'>"
    return f"<figure>{shown}<figcaption>{html.escape(title)}<br>{html.escape(numbers)}</figcaption></figure>"

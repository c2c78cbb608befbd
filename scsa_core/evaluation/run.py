"""Rendering and measuring: one task is a directed pair with everything still missing of it.

In this process by default; on Ray one worker for each share of the cores. A render lies in
`renders/` as a PNG that carries the key of everything it came from, and is used again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scsa_core import checkpoints, cluster
from scsa_core.backbones import FAMILIES
from scsa_core.batch.jobs import sentence
from scsa_core.cache import digest
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import KnobError, ScsaError
from scsa_core.evaluation.measure import DirectedPair, Instruments, Judge
from scsa_core.evaluation.rows import NONE, TRIVIAL, Row, Variant, key
from scsa_core.files import write_atomically
from scsa_core.images import encode_png, load_image, to_image, to_tensor
from scsa_core.knobs import ALL_METHODS, Knobs, Method
from scsa_core.metrics import colour_match
from scsa_core.plan import picture_digest
from scsa_core.reference_files import PairFiles

DIRECTIONS = ("forward", "reverse")


@dataclass(frozen=True)
class Wanted:
    """A row to be: what is compared and the knobs it is painted with."""

    variant: Variant
    knobs: Knobs


@dataclass(frozen=True)
class Task:
    """Rows still missing of one directed pair. renders: folder for pictures. sources: of the pair, content first."""

    pair: PairFiles
    direction: str
    wanted: tuple[Wanted, ...]
    size: int
    network: str
    renders: Path


def suite(backbones: Sequence[str], methods: Sequence[str] | None, size: int, alphas: tuple[float | None, float | None]) -> list[Wanted]:
    """The paper's tables for each family: every method it has, or those of `methods` it has, at its own α or the given.

    The content itself and the colour match come first. Raises KnobError for an unknown name.
    """
    for name in methods or ():
        if name not in ALL_METHODS:
            raise KnobError(f"there is no method named {name!r}", knob="methods", hint=f"Choose of: {', '.join(ALL_METHODS)}.")
    found = [Wanted(Variant(NONE, name), Knobs(size=size)) for name in TRIVIAL]
    for backbone in backbones:
        if backbone not in FAMILIES:
            raise KnobError(f"there is no model named {backbone!r}", knob="backbones", hint=f"Choose of: {', '.join(FAMILIES)}.")
        info = FAMILIES[backbone].info
        knobs = Knobs.for_family(info.defaults).replace(size=size, alpha1=alphas[0], alpha2=alphas[1])
        for method in info.capabilities.methods:
            if methods is None or method in methods:
                found.append(Wanted(Variant.of(backbone, method, knobs, info.capabilities.acting(method)), knobs))
    return found


def sweep(backbones: Sequence[str], size: int, values: Sequence[float]) -> list[Wanted]:
    """SCSA at every pair of α for the families in which both act."""
    found = []
    for backbone in backbones:
        info = FAMILIES[backbone].info
        if "scsa" not in info.capabilities.methods or not {"alpha1", "alpha2"} <= set(info.capabilities.acting("scsa")):
            continue
        for a1 in values:
            for a2 in values:
                knobs = Knobs.for_family(info.defaults).replace(size=size, alpha1=a1, alpha2=a2)
                found.append(Wanted(Variant.of(backbone, "scsa", knobs, ("alpha1", "alpha2")), knobs))
    return found


def plan(
    pairs: Iterable[PairFiles], wanted: Sequence[Wanted], swept: Sequence[Wanted], sweep_pairs: int, done: Iterable[Row], *,
    directions: Sequence[str] = DIRECTIONS, size: int, network: str, renders: Path,
) -> list[Task]:  # fmt: skip
    """Tasks for whatever the rows `done` do not hold. The sweep is of the first pairs, forward."""
    there = {key(r) for r in done}
    tasks = []
    for number, pair in enumerate(pairs):
        for direction in directions:
            rows = list(wanted) + (list(swept) if number < sweep_pairs and direction == "forward" else [])
            missing = {w.variant: w for w in rows if key(_row(pair.id, direction, w.variant, size, network)) not in there}
            if missing:
                directed = pair if direction == "forward" else pair.swapped()
                tasks.append(Task(directed, direction, tuple(missing.values()), size, network, renders))
    return tasks


def _row(pair: str, direction: str, variant: Variant, size: int, network: str) -> Row:
    return {"pair": pair, "direction": direction, **dataclasses.asdict(variant), "size": str(size), "network": network}


def perform(task: Task, engine: Engine, instruments: Instruments) -> Iterator[dict[str, object]]:
    """The rows of a task, one by one. Raises ScsaError for pictures or maps that cannot be used."""
    pair = DirectedPair.of(
        task.pair.id, task.direction, load_image(task.pair.first), load_image(task.pair.second), task.pair.maps(), task.size
    )
    judge = Judge(instruments, pair)
    for wanted in task.wanted:
        image, seconds, file = _picture(task, pair, wanted, engine)
        row: dict[str, object] = {**_row(pair.pair, pair.direction, wanted.variant, task.size, task.network)}
        yield {**row, "seconds": f"{seconds:.4g}", "file": file, **judge.measure(image)}


def _picture(task: Task, pair: DirectedPair, wanted: Wanted, engine: Engine) -> tuple[Image.Image, float, str]:
    """(result, seconds it took, file name): from the folder of renders where it is there."""
    variant = wanted.variant
    if variant == Variant(NONE, "content"):
        return pair.content, 0.0, ""
    parts = [pair.pair, pair.direction, variant.backbone, variant.method, variant.alpha1, variant.alpha2, str(task.size)]
    path = task.renders / ("_".join(p for p in parts if p) + ".png")
    made_of = _key(pair, wanted)
    if path.exists():
        kept = Image.open(path)
        if kept.info.get("key") == made_of:
            return kept.convert("RGB"), float(kept.info["seconds"]), path.name
    started = time.perf_counter()
    if variant.backbone == NONE:
        maps = (pair.content_map.ids, pair.style_map.ids)
        image = to_image(colour_match(to_tensor(pair.content), to_tensor(pair.style), *maps))
    else:
        method: Method = next(m for m in ALL_METHODS if m == variant.method)
        request = RenderRequest(
            pair.content, pair.style, pair.content_map, pair.style_map, backbone=variant.backbone, method=method, knobs=wanted.knobs
        )
        image = engine.render(request).image
    seconds = time.perf_counter() - started
    write_atomically(path, encode_png(image, {"key": made_of, "seconds": f"{seconds:.6g}"}))
    return image, seconds, path.name


def _key(pair: DirectedPair, wanted: Wanted) -> str:
    files = FAMILIES[wanted.variant.backbone].files if wanted.variant.backbone in FAMILIES else ()
    weights = checkpoints.fingerprint([checkpoints.find(*f) for f in files])
    pictures = (picture_digest(pair.content), picture_digest(pair.style), pair.content_map.digest(), pair.style_map.digest())
    knobs = tuple(wanted.knobs.as_dict().items())
    return digest(pictures, wanted.variant.backbone, wanted.variant.method, weights, knobs)


CACHE_BYTES = 600_000_000  # an engine has the measuring networks beside it

# -- who does the tasks ---------------------------------------------------------------

Report = Callable[[Task, list[dict[str, object]], str], None]
"""Called with every task's rows, or with the sentence that says why it failed."""


def run_local(tasks: Iterable[Task], report: Report, device: str = "auto") -> None:
    """One after another in this process; rows are reported as they come, so that little is lost when it is stopped."""
    engine: Engine | None = None
    instruments: Instruments | None = None
    for task in tasks:
        engine = engine or Engine(device, cache_bytes=CACHE_BYTES)
        instruments = instruments or Instruments.load(task.network, engine.device)
        try:
            for row in perform(task, engine, instruments):
                report(task, [row], "")
        except (ScsaError, ValueError) as error:
            report(task, [], _why(error))


def run_on_ray(tasks: Iterable[Task], report: Report, *, device: str = "auto", workers: int = 2, address: str | None = None) -> None:
    """On a Ray cluster (see `cluster.spread`). Raises KnobError."""

    def done(task: Task, answer: tuple[list[dict[str, object]], str]) -> None:
        report(task, *answer)

    calls = ((task, (task,)) for task in tasks)
    cluster.spread(calls, _Worker, done, lambda task, why: report(task, [], why), address=address, workers=workers, device=device)


class _Worker(cluster.Worker):
    """With the networks that measure, loaded once."""

    cache_bytes = CACHE_BYTES
    _instruments: Instruments | None = None

    def perform(self, task: Task) -> tuple[list[dict[str, object]], str]:
        """The rows that came out, and why there are not more."""
        self._instruments = self._instruments or Instruments.load(task.network, self.engine.device)
        rows: list[dict[str, object]] = []
        try:
            rows.extend(perform(task, self.engine, self._instruments))
        except (ScsaError, ValueError) as error:
            return rows, _why(error)
        return rows, ""


def _why(error: Exception) -> str:
    """A failure on one line; a metric's ValueError is words for a person, too."""
    return sentence(error) if isinstance(error, ScsaError) else f"{str(error).rstrip('.')}."

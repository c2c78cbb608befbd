"""One job is one directed pair under all its methods, so that they share what one engine has in memory.

A job names files; `Payload.of` reads them where they are, so that a worker on another
machine needs nothing but the weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from scsa_core import __version__, reference_files
from scsa_core.backbones import FAMILIES
from scsa_core.cache import digest
from scsa_core.checkpoints import find
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import CheckpointError, ScsaError
from scsa_core.images import load_image, open_image
from scsa_core.knobs import Knobs, Method
from scsa_core.labels import LabelMap
from scsa_core.recipe import Recipe, embed
from scsa_core.reference_files import PairFiles


@dataclass(frozen=True)
class Job:
    """A directed pair: `pair.first` is the content. precomputed: folder of its masks, instead of its colour maps."""

    pair: PairFiles
    backbone: str
    methods: tuple[Method, ...]
    knobs: Knobs
    reference: bool = False
    precomputed: Path | None = None

    def file(self, method: Method) -> str:
        """Where its picture goes, relative to the output folder."""
        return f"{self.pair.id}/{self.pair.name}_{self.backbone}_{method}.png"

    def key(self, method: Method) -> str:
        """Changes when a file, a setting or the weights do: a picture of the same key need not be painted again."""
        pair = self.pair
        files = [pair.first, pair.second, pair.first_map, pair.second_map]
        if self.precomputed is not None:
            files[2:] = reference_files.precomputed_files(self.precomputed, pair.first.stem, pair.second.stem)
        hashes = tuple(hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "" for p in files)
        acting = FAMILIES[self.backbone].info.capabilities.acting(method)
        knobs = {name: getattr(self.knobs, name) for name in (*acting, "size", "keep_colours", "seed")}
        return digest(hashes, self.backbone, _weights(self.backbone), method, tuple(sorted(knobs.items())), self.reference)


def plan(
    pairs: Iterable[PairFiles],
    *,
    backbone: str,
    methods: Sequence[Method],
    knobs: Knobs,
    both_directions: bool = False,
    reference: bool = False,
    precomputed: Path | None = None,
) -> list[Job]:
    """One job for each directed pair, pairs that lack a file included: they fail with their own words."""
    jobs = []
    for pair in pairs:
        for directed in (pair, pair.swapped()) if both_directions and not pair.problem else (pair,):
            folder = None if precomputed is None else precomputed / pair.id
            jobs.append(Job(directed, backbone, tuple(methods), knobs, reference, folder))
    return jobs


def _weights(backbone: str) -> tuple[tuple[str, int, int], ...]:
    """Name, size and age of the family's files; () where they are not all here (they may be on the workers)."""
    try:
        found = [find(*file).stat() for file in FAMILIES[backbone].files]
    except CheckpointError:
        return ()
    return tuple((name, s.st_size, s.st_mtime_ns) for (_, name), s in zip(FAMILIES[backbone].files, found, strict=True))


@dataclass(frozen=True)
class Payload:
    """A job's files, read. problem: why its maps cannot be used; a baseline needs none."""

    content: bytes
    style: bytes
    maps: tuple[LabelMap, LabelMap] | None = None
    links: Mapping[int, tuple[int, ...]] | None = None
    map_pictures: tuple[bytes, bytes] | None = None
    problem: str = ""

    @classmethod
    def of(cls, job: Job) -> Payload:
        """Raises OSError for a picture that cannot be read."""
        pair = job.pair
        content, style = pair.first.read_bytes(), pair.second.read_bytes()
        if all(method == "baseline" for method in job.methods):
            return cls(content, style)
        try:
            if job.precomputed is not None:
                first, second, links = reference_files.read_precomputed(job.precomputed, pair.first.stem, pair.second.stem)
                return cls(content, style, (first, second), links or None)
            colours = (pair.first_map.read_bytes(), pair.second_map.read_bytes()) if job.reference else None
            return cls(content, style, pair.maps(), None, colours)
        except ScsaError as error:
            return cls(content, style, problem=sentence(error))


@dataclass(frozen=True)
class Outcome:
    """One render, done or not. png carries its recipe. timings: seconds by stage; error: one line, "" where done."""

    method: Method
    png: bytes = b""
    size: tuple[int, int] = (0, 0)
    timings: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    warnings: tuple[str, ...] = ()
    error: str = ""
    worker: str = ""


def perform(engine: Engine, job: Job, payload: Payload, worker: str = "") -> Iterator[Outcome]:
    """Every render of a job. Never raises but for what stops a program: a failure is an outcome."""
    for method in job.methods:
        try:
            result = engine.render(_request(job, payload, method))
            warnings = tuple(note.text for note in result.notes)
            png = embed(result.image, Recipe.of(result, __version__, warnings))
            yield Outcome(method, png, result.image.size, result.timings, result.peak_bytes, warnings, worker=worker)
        except Exception as error:
            yield Outcome(method, error=sentence(error), worker=worker)


def _request(job: Job, payload: Payload, method: Method) -> RenderRequest:
    content, style = load_image(payload.content), load_image(payload.style)
    request = RenderRequest(content, style, backbone=job.backbone, method=method, knobs=job.knobs, reference=job.reference)
    if method == "baseline":
        return request
    if payload.maps is None:
        raise ScsaError(payload.problem)
    pictures = None
    if payload.map_pictures is not None:
        first, second = (_colours(m) for m in payload.map_pictures)
        pictures = (first, second)
    return dataclasses.replace(
        request, content_map=payload.maps[0], style_map=payload.maps[1], links=payload.links, map_pictures=pictures
    )


def _colours(data: bytes) -> Image.Image:
    return open_image(data).convert("RGB")


def sentence(error: Exception) -> str:
    """A failure on one line: message and hint, or for a surprise its kind."""
    if isinstance(error, ScsaError):
        text = f"{str(error).rstrip('.')}. {error.hint}"
    elif isinstance(error, OSError):
        text = f"{Path(str(error.filename)).name if error.filename else 'a file'} cannot be read ({error.strerror})."
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    return " ".join(text.split())

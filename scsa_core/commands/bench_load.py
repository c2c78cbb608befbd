"""`bench load`: many programs at once on a running app, each checking that it gets its own pictures.

Every client has pictures of its own and asks for three renders over and over through the
app's `/render`. The first answers, taken one client after another, are what later ones
have to equal.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from scsa_core.commands.base import UsageError

CLIENTS = (1, 8, 32)
ALPHAS = (0.2, 0.6, 1.0)


@dataclass
class Client:
    """What one client saw. waits: seconds of its answers, in order."""

    number: int
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed: int = 0  # answers that were somebody else's picture, or damaged
    pixels: dict[float, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """Of one number of clients: latencies in seconds over all answers, answers a second, memory of the server before and after."""

    clients: int
    answers: int
    errors: tuple[str, ...]
    mixed: int
    median: float
    p95: float
    slowest: float
    throughput: float
    unfair: float  # the slowest client's median wait over the median client's
    memory: tuple[int, int]


def run(url: str, counts: Sequence[int], seconds: float, size: int, server: int | None, said: Callable[[str], None]) -> list[Load]:
    """Load the app at `url` with each number of clients for `seconds`. server: its process id, for its memory. Raises UsageError."""
    with tempfile.TemporaryDirectory(prefix="scsa-load-") as folder:
        try:
            everyone = [new_client(k, url, Path(folder), size) for k in range(max(counts))]
            ask_alone(everyone)
        except Exception as error:  # whatever stands between
            hint = "Start it with SCSA_RATE=0: all these clients have one address."
            raise UsageError(f"the app at {url} did not paint a picture: {error}"[:300], hint=hint) from error
        if len({p for c, _ in everyone for p in c.pixels.values()}) < len(everyone) * len(ALPHAS):
            said("some clients' pictures are alike: mixing them up would go unseen")
        return [_load(everyone[:count], seconds, server) for count in counts]


def _load(everyone: Sequence[tuple[Client, Callable[[float], bytes]]], seconds: float, server: int | None) -> Load:
    clients = [client for client, _ in everyone]
    for client in clients:
        client.waits, client.errors, client.mixed = [], [], 0
    before, end = _memory(server), time.monotonic() + seconds
    started = time.monotonic()
    threads = [threading.Thread(target=_work, args=(client, ask, end)) for client, ask in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started
    waits = [w for c in clients for w in c.waits] or [float("nan")]
    own = [statistics.median(c.waits) for c in clients if c.waits] or [float("nan")]
    return Load(
        clients=len(clients),
        answers=sum(len(c.waits) for c in clients),
        errors=tuple(e for c in clients for e in c.errors),
        mixed=sum(c.mixed for c in clients),
        median=statistics.median(waits),
        p95=float(np.quantile(waits, 0.95)),
        slowest=max(waits),
        throughput=sum(len(c.waits) for c in clients) / took,
        unfair=max(own) / statistics.median(own),
        memory=(before, _memory(server)),
    )


def _work(client: Client, ask: Callable[[float], bytes], end: float) -> None:
    turn = client.number
    while time.monotonic() < end:
        alpha = ALPHAS[turn % len(ALPHAS)]
        turn += 1
        started = time.monotonic()
        try:
            answer = ask(alpha)
        except Exception as error:
            client.errors.append(f"client {client.number}: {error}"[:200])
            time.sleep(0.5)
            continue
        client.waits.append(time.monotonic() - started)
        client.mixed += answer != client.pixels[alpha]


def ask_alone(everyone: Sequence[tuple[Client, Callable[[float], bytes]]]) -> None:
    """One client after another: what each has to get later."""
    for client, ask in everyone:
        for alpha in ALPHAS:
            client.pixels[alpha] = ask(alpha)


def new_client(number: int, url: str, folder: Path, size: int) -> tuple[Client, Callable[[float], bytes]]:
    """A client with two pictures of its own, written into `folder`, and how it asks for a render: α₁ -> the picture's pixels."""
    import gradio_client

    random = np.random.default_rng(number)
    files = []
    for name in ("content", "style"):
        path = folder / f"{name}{number}.png"
        noise = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((size, size * 3 // 4), Image.Resampling.BICUBIC).save(path)
        files.append(str(path))
    program = gradio_client.Client(url, verbose=False, download_files=str(folder / f"down{number}"), httpx_kwargs={"timeout": 300})

    def ask(alpha: float) -> bytes:
        given: list[Any] = [gradio_client.handle_file(f) for f in files]
        path, _ = program.predict(*given, None, None, "lite", "scsa", {"size": size, "alpha1": alpha}, api_name="/render")
        with Image.open(path) as found:
            return found.convert("RGB").tobytes()

    return Client(number), ask


def _memory(server: int | None) -> int:
    """Resident bytes of the server, 0 where it is not known."""
    return 0 if server is None else int(psutil.Process(server).memory_info().rss)

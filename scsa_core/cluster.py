"""Work spread over a Ray cluster: an engine on every worker, and work given again where a worker dies."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import torch

from scsa_core.checkpoints import VARIABLE
from scsa_core.engine import Engine
from scsa_core.errors import KnobError

Item = TypeVar("Item")
Call = tuple[Item, tuple[Any, ...]]
"""A piece of work, and the arguments of `perform` that do it."""

TRIES = 2
"""Work whose worker died is given to another one this often in all."""
STORE = 200_000_000  # bytes of a local cluster's object store: pictures pass through it one by one


class Worker:
    """An engine in a process of its own. A subclass has `perform`; what it returns travels back."""

    cache_bytes: ClassVar[int] = 1_500_000_000

    def __init__(self, name: str, device: str, threads: int, settings: Mapping[str, str]) -> None:
        os.environ.update(settings)
        torch.set_num_threads(threads)
        self.name, self.engine = name, Engine(device, cache_bytes=self.cache_bytes)


def spread(
    calls: Iterable[Call[Item]],
    worker: type[Worker],
    done: Callable[[Item, Any], None],
    lost: Callable[[Item, str], None],
    *,
    address: str | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> None:
    """Do all calls on a Ray cluster: that of `address`, or one of this machine alone, started and stopped here.

    done, lost: told of every item, with what `perform` returned or with the sentence that
    says why there is nothing. workers: engines in all, one a node where not given. Every node
    needs this package and the weights, under $SCSA_CHECKPOINTS where this process has that.
    Raises KnobError where Ray is not installed or the cluster cannot be reached.
    """
    ray = _import()
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(include_dashboard=False, object_store_memory=STORE, num_cpus=workers, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (Exception, SystemExit) as error:  # Ray leaves by any of many
        ray.shutdown()
        if address is None:
            hint = "Use --engine local, or start a cluster with `ray start --head` and give its address."
            raise KnobError(f"engine ray: no cluster could be started here ({type(error).__name__})", knob="engine", hint=hint) from error
        hint = "Start it with `ray start --head` and give the address that it prints."
        raise KnobError(f"address {address}: no Ray cluster answers there", knob="address", hint=hint) from error
    try:
        nodes = [n for n in ray.nodes() if n["Alive"]]
        count = workers or len(nodes)
        cores = sum(n["Resources"].get("CPU", 0) for n in nodes)
        threads = max(1, int(cores // count))
        gpus = min(1.0, sum(n["Resources"].get("GPU", 0) for n in nodes) / count) if device != "cpu" else 0.0
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": -1, "scheduling_strategy": "SPREAD"}
        remote = ray.remote(worker)
        settings = {name: os.environ[name] for name in (VARIABLE, "SCSA_PRECISION") if name in os.environ}
        made = [remote.options(**options).remote(f"worker {k + 1}", device, threads, settings) for k in range(count)]
        _distribute(ray, made, calls, done, lost)
    finally:
        ray.shutdown()


def _distribute(
    ray: Any, workers: list[Any], calls: Iterable[Call[Item]], done: Callable[[Item, Any], None], lost: Callable[[Item, str], None]
) -> None:
    """Give every free worker the next call until there is none."""
    waiting = ((*call, 1) for call in calls)
    again: deque[tuple[Item, tuple[Any, ...], int]] = deque()
    free, running = list(workers), {}
    while True:
        while free and (following := again.popleft() if again else next(waiting, None)) is not None:
            worker = free.pop(0)
            running[worker.perform.remote(*following[1])] = (worker, *following)
        if not running:
            return
        (ready,), _ = ray.wait(list(running), num_returns=1)
        worker, item, arguments, tries = running.pop(ready)
        try:
            done(item, ray.get(ready))
        except ray.exceptions.RayError as error:
            died = isinstance(error, ray.exceptions.RayActorError)
            if tries < TRIES and died:
                again.append((item, arguments, tries + 1))
            else:
                reason = "the worker died, perhaps for lack of memory" if tries >= TRIES else f"the worker failed ({type(error).__name__})"
                lost(item, f"{reason}.")
        free.append(worker)


def _import() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        hint = 'Run `pip install "ray>=2.40"`.'
        raise KnobError("engine ray needs the package ray, which is not here", knob="engine", hint=hint) from error
    return ray

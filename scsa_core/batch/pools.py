"""Who does the jobs: one engine in this process, or one on every worker of a Ray cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from scsa_core.batch.jobs import Job, Outcome, Payload, perform, sentence
from scsa_core.checkpoints import VARIABLE
from scsa_core.engine import Engine
from scsa_core.errors import KnobError

Report = Callable[[Job, Outcome], None]
TRIES = 2
"""A job whose worker died is given to another one this often in all."""
STORE = 200_000_000  # bytes of a local cluster's object store: pictures pass through it one by one


def run_local(jobs: Iterable[Job], engine: Engine, report: Report) -> None:
    """One after another in this process; every outcome is reported as soon as it is there."""
    for job in jobs:
        payload = _payload(job, report)
        if payload is not None:
            for outcome in perform(engine, job, payload):
                report(job, outcome)


def run_on_ray(
    jobs: Iterable[Job],
    report: Report,
    *,
    address: str | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> None:
    """On a Ray cluster: that of `address`, or one of this machine alone, started and stopped here.

    workers: engines in all, one a node where not given. Every node needs this package and
    the weights, under $SCSA_CHECKPOINTS where this process has that. A job whose worker died
    is tried again on another; a job's failure is an outcome. Raises KnobError where Ray is
    not installed or the cluster cannot be reached.
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
        remote = ray.remote(_Worker)
        settings = {name: os.environ[name] for name in (VARIABLE, "SCSA_PRECISION") if name in os.environ}
        made = [remote.options(**options).remote(f"worker {k + 1}", device, threads, settings) for k in range(count)]
        _distribute(ray, made, jobs, report)
    finally:
        ray.shutdown()


def _distribute(ray: Any, workers: list[Any], jobs: Iterable[Job], report: Report) -> None:
    """Give every free worker the next job until there is none."""
    waiting = iter(jobs)
    again: deque[tuple[Job, Payload, int]] = deque()
    free, running = list(workers), {}
    while True:
        while free and (next_one := again.popleft() if again else _next(waiting, report)) is not None:
            worker = free.pop(0)
            running[worker.perform.remote(*next_one[:2])] = (worker, *next_one)
        if not running:
            return
        (ready,), _ = ray.wait(list(running), num_returns=1)
        worker, job, payload, tries = running.pop(ready)
        try:
            for outcome in ray.get(ready):
                report(job, outcome)
        except ray.exceptions.RayError as error:
            if tries < TRIES and isinstance(error, ray.exceptions.RayActorError):
                again.append((job, payload, tries + 1))
            else:
                lost = "the worker died, perhaps for lack of memory" if tries >= TRIES else f"the worker failed ({type(error).__name__})"
                for method in job.methods:
                    report(job, Outcome(method, error=f"{lost}."))
        free.append(worker)


def _next(jobs: Any, report: Report) -> tuple[Job, Payload, int] | None:
    for job in jobs:
        payload = _payload(job, report)
        if payload is not None:
            return job, payload, 1
    return None


def _payload(job: Job, report: Report) -> Payload | None:
    """The job's files, or None after reporting why they cannot be read."""
    problem = job.pair.problem
    if not problem:
        try:
            return Payload.of(job)
        except Exception as error:
            problem = sentence(error)
    for method in job.methods:
        report(job, Outcome(method, error=problem))
    return None


class _Worker:
    """An engine in a process of its own."""

    def __init__(self, name: str, device: str, threads: int, settings: Mapping[str, str]) -> None:
        os.environ.update(settings)
        torch.set_num_threads(threads)
        self._name, self._engine = name, Engine(device)

    def perform(self, job: Job, payload: Payload) -> list[Outcome]:
        return list(perform(self._engine, job, payload, self._name))


def _import() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        hint = 'Run `pip install "ray>=2.40"`.'
        raise KnobError("engine ray needs the package ray, which is not here", knob="engine", hint=hint) from error
    return ray

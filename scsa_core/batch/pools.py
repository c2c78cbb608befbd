"""Who does the jobs: one engine in this process, or one on every worker of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from scsa_core import cluster
from scsa_core.batch.jobs import Job, Outcome, Payload, perform, sentence
from scsa_core.engine import Engine

Report = Callable[[Job, Outcome], None]


def run_local(jobs: Iterable[Job], engine: Engine, report: Report) -> None:
    """One after another in this process; every outcome is reported as soon as it is there."""
    for job, payload in _readable(jobs, report):
        for outcome in perform(engine, job, payload):
            report(job, outcome)


def run_on_ray(
    jobs: Iterable[Job], report: Report, *, address: str | None = None, workers: int | None = None, device: str = "auto"
) -> None:
    """On a Ray cluster (see `cluster.spread`); a job's failure is an outcome. Raises KnobError."""

    def done(job: Job, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            report(job, outcome)

    calls = ((job, (job, payload)) for job, payload in _readable(jobs, report))
    cluster.spread(calls, _Worker, done, lambda job, why: _failed(job, why, report), address=address, workers=workers, device=device)


class _Worker(cluster.Worker):
    def perform(self, job: Job, payload: Payload) -> list[Outcome]:
        return list(perform(self.engine, job, payload, self.name))


def _readable(jobs: Iterable[Job], report: Report) -> Iterator[tuple[Job, Payload]]:
    """The jobs whose files can be read, each read when it is asked for; the others are reported."""
    for job in jobs:
        problem = job.pair.problem
        if not problem:
            try:
                payload = Payload.of(job)
            except Exception as error:
                problem = sentence(error)
        if problem:
            _failed(job, problem, report)
        else:
            yield job, payload


def _failed(job: Job, why: str, report: Report) -> None:
    for method in job.methods:
        report(job, Outcome(method, error=why))

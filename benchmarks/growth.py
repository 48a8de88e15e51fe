"""``vitalstream bench growth``: the worker's CPU time an upload as everything around it grows."""

from dataclasses import dataclass

from pydantic import BaseModel, Field

from app.bench.bench import Bench
from app.bench.drain import follow
from app.bench.processes import Together
from app.bench.result import Ratio, Result, Table, find
from app.bench.workers import Deployment, Worker
from benchmarks.loader import Loader
from benchmarks.workload import Workload

_UPLOAD, _SAMPLE = "CPU µs/upload", "CPU µs/sample"
_FLAT = 1.15


class Parameters(BaseModel):
    """What can be chosen."""

    uploads: int = Field(
        200_000, gt=0, description="Fewest uploads of a subject; at least two of every person."
    )
    users: tuple[int, ...] = Field((100, 1_000, 10_000, 100_000), description="Numbers of people.")
    samples: tuple[int, ...] = Field((1, 6, 60, 600), description="Numbers of samples an upload.")
    workers: tuple[int, ...] = Field((1, 2), description="Numbers of workers.")
    partitions: int = Field(4, gt=0, description="Partitions of every topic.")
    per_record: int = Field(200, gt=0, description="Uploads in a record.")


QUICK = {"uploads": 20_000, "users": (100, 1_000), "samples": (6, 60)}
_USERS, _SAMPLES = 1_000, 60


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    users: int = _USERS
    samples: int = _SAMPLES
    workers: int = 1


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Measure every case, interleaved."""
    table, cases = Table(), _cases(parameters)
    with bench.kafka() as bootstrap:
        for repeat in range(bench.repeats):
            bench.say(f"repeat {repeat + 1} of {bench.repeats}")
            for number, case in enumerate(cases):
                _measure_one(
                    bench, bootstrap, f"r{repeat}-{number}-", case, p=parameters, table=table
                )
    figures = table.figures()

    def spread(name: str, members: tuple[str, ...], quantity: str) -> Ratio:
        """Return the dearest over the cheapest, repeat by repeat."""
        rows = zip(*(find(figures, m, quantity).values for m in members), strict=True)
        return Ratio(name, tuple(max(row) / min(row) for row in rows), at_most=_FLAT**2)

    people = tuple(_people(n) for n in parameters.users)
    workers = tuple(_workers(n) for n in parameters.workers)
    ratios = []
    if len(people) > 1:
        ratios.append(spread("dearest / cheapest upload over people", people, _UPLOAD))
    if len(workers) > 1:
        base, most = find(figures, workers[0], _UPLOAD), find(figures, workers[-1], _UPLOAD)
        values = tuple(b / a for a, b in zip(base.values, most.values, strict=True))
        ratios.append(Ratio(f"{workers[-1]} / {workers[0]}, {_UPLOAD}", values, at_most=_FLAT))
    return Result(
        title="CPU time of the worker",
        figures=figures,
        ratios=tuple(ratios),
        notes=(
            f"Unless said: {_USERS:,} people, {_SAMPLES} samples an upload, one worker.",
            "The first half of each backlog is not measured: everybody is known by then.",
            "±15 % about a middle is at most 1.32 between the dearest and the cheapest.",
        ),
        charted=_UPLOAD,
    )


def _people(count: int) -> str:
    return f"{count:,} people"


def _samples(count: int) -> str:
    return f"{count:,} samples an upload"


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _cases(p: Parameters) -> list[_Case]:
    return [
        *(_Case(_people(count), users=count) for count in p.users),
        *(_Case(_samples(count), samples=count) for count in p.samples),
        *(_Case(_workers(count), workers=count) for count in p.workers),
    ]


def _measure_one(
    bench: Bench, bootstrap: str, prefix: str, case: _Case, *, p: Parameters, table: Table
) -> None:
    loader = Loader(bootstrap)
    deployment = Deployment(bench, bootstrap, prefix, p.partitions)
    workload = Workload(case.users, p.partitions, samples=case.samples)
    # Long uploads: fewer of them, about as many samples.
    # Several workers join their group one after the other: more, so that all share the rest.
    total = p.uploads * (4 if case.name.endswith(("worker", "workers")) else 1)
    uploads = max(round(total * min(1.0, 2 * _SAMPLES / case.samples)), 2 * case.users)
    per_record = max(1, round(p.per_record * min(1.0, 2 * _SAMPLES / case.samples)))
    backlog = loader.batches(workload, uploads, deployment.uploads, per_record=per_record)
    workers: list[Worker] = []
    try:
        workers += [deployment.worker(number) for number in range(case.workers)]
        together = Together([worker.process for worker in workers])
        seen = follow(bootstrap, deployment.group, backlog, together, warm_up=0.5)
    finally:
        for worker in workers:
            worker.process.stop()
    loader.delete(prefix)
    cost = seen.cpu_seconds / seen.uploads * 1e6
    table.add(case.name, _UPLOAD, cost)
    table.add(case.name, _SAMPLE, cost / case.samples)
    bench.say(f"{case.name}: {cost:.1f} µs of CPU an upload")

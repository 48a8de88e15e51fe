"""``vitalstream bench stream``: the worker against peers and against the decode ceiling.

All drain the same seeded workload from a topic that was filled before, one after the other on one
core, the broker on another. The worker does all that it does in production; the peers only decode
and keep one-minute windows with a changelog. See README.md for how each peer is tuned.
"""

from app.bench.bench import Bench
from app.bench.result import Ratio, Result, Table, ratio
from app.bench.subjects import CLOCK, CPU, run_subject
from app.errors import ServerFailedError
from benchmarks.contenders import (
    CEILING_ONE,
    FAUST,
    KAFKA_STREAMS,
    QUIX,
    Contenders,
    Parameters,
    batch_ceiling_name,
    wanted,
    worker_name,
)

_TARGETS = ((KAFKA_STREAMS, 2.0), (QUIX, 5.0), (FAUST, 30.0))


QUICK = {"uploads": 40_000, "more_per_record": ()}


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Run every subject, interleaved."""
    table = Table()
    number, failed = 0, list[str]()
    with bench.kafka() as bootstrap:
        contenders = Contenders(bench, bootstrap, parameters)
        entries = [e for e in contenders.all() if wanted(e.name, parameters.only)]
        for repeat in range(bench.repeats):
            bench.say(f"repeat {repeat + 1} of {bench.repeats}")
            for entry in list(entries):
                prefix = f"run{number}-"
                number += 1
                subject, backlog = entry.prepare(prefix, entry.uploads)
                warm_up = None if entry.name == FAUST else parameters.warm_up
                try:
                    run_subject(bench, bootstrap, subject, backlog, warm_up=warm_up, table=table)
                except ServerFailedError as error:  # the others' figures stand without it
                    bench.say(str(error))
                    failed.append(f"{entry.name} failed and is left out.")
                    table.drop(entry.name)
                    entries.remove(entry)
                contenders.loader.delete(prefix)
    figures = table.figures()
    return Result(
        title=f"Uploads of {parameters.samples} samples through one core, "
        f"{parameters.users:,} people",
        figures=figures,
        ratios=_ratios(figures_of=table, parameters=parameters),
        notes=(*failed, *contenders.notes, *_NOTES),
        charted=CPU,
    )


_NOTES = (
    "The worker does all that it does in production: three kinds of windows, detectors, outputs.",
    "The peers decode and keep one-minute windows with a changelog.",
    "Start-up and the JVM's compilation are not measured; the wait for the last commit is.",
    "One core for what is measured, the broker on the others.",
)


def _ratios(*, figures_of: Table, parameters: Parameters) -> tuple[Ratio, ...]:
    figures = figures_of.figures()
    names = {figure.subject for figure in figures}
    worker = worker_name(parameters.per_record)
    if worker not in names:
        return ()
    found = [
        ratio(figures, quantity, worker, peer, at_least=target)
        for peer, target in _TARGETS
        for quantity in (CPU, CLOCK)
        if peer in names
    ]
    ceilings = (CEILING_ONE, batch_ceiling_name(parameters.per_record))
    found += [ratio(figures, CPU, worker, name) for name in ceilings if name in names]
    return tuple(found)

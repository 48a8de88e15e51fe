"""``vitalstream dlq``: replay and discard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.dlq import options
from app.cli.dlq.reading import reading

if TYPE_CHECKING:
    from app.clickhouse.client import ClickHouse
    from app.dead_letters.audit import Action, Audit
    from app.dead_letters.letters import DeadLetter, Place
    from app.dead_letters.selection import Selection
    from app.settings import Settings

_Work = Callable[["Settings", Iterator["DeadLetter"], "Audit"], Iterator["Place"]]


def replay(
    *,
    place: options.PlaceOption = None,
    everything: options.Everything = False,
    error: options.Error = None,
    since: options.Since = None,
    until: options.Until = None,
    user: options.User = None,
    topic: options.Topic = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Most dead letters a second; default: no limit.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    token: options.Token = None,
    dry_run: options.DryRun = False,
) -> None:
    """Produce dead letters again, for a first attempt; the originals stay.

    Name one by its place, or choose by --all and the filters among those that are open. Each is
    marked after Kafka has acknowledged it: a replay that was interrupted goes on where it stopped
    when it is given again. Samples that are known already are not counted twice.
    """
    from app.dead_letters.replaying import Pace  # noqa: PLC0415  (slow to import)
    from app.dead_letters.replaying import replay as produce  # noqa: PLC0415
    from app.kafka.schema_ids import codec_for  # noqa: PLC0415

    pace = Pace() if rate is None else Pace(rate)
    chosen = options.selection(
        error=error, since=since, until=until, user=user, topic=topic, state=options.StateName.open
    )
    _Command("replayed", place, everything, reason, token, dry_run).run(
        chosen,
        lambda settings, letters, audit: produce(
            settings, letters, audit, codec_for(settings), pace
        ),
    )


def discard(
    *,
    place: options.PlaceOption = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    everything: options.Everything = False,
    error: options.Error = None,
    since: options.Since = None,
    until: options.Until = None,
    user: options.User = None,
    topic: options.Topic = None,
    token: options.Token = None,
    dry_run: options.DryRun = False,
) -> None:
    """Give dead letters up, with a reason; the originals stay, and can still be replayed.

    Name one by its place, or choose by --all and the filters among those that are open. Their
    samples stay dead-lettered in the books.
    """
    from app.dead_letters.discarding import discard as give_up  # noqa: PLC0415  (slow to import)

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    chosen = options.selection(
        error=error, since=since, until=until, user=user, topic=topic, state=options.StateName.open
    )
    _Command("discarded", place, everything, reason, token, dry_run).run(
        chosen, lambda _, letters, audit: give_up(letters, audit)
    )


@dataclass(frozen=True, slots=True)
class _Command:
    """What is to be done, by whom and why."""

    action: "Action"
    place: str | None
    everything: bool
    reason: str
    token: str | None
    dry_run: bool

    def run(self, selection: "Selection", work: _Work) -> None:
        """Do it with what was named or chosen, and say each place when it is done."""
        if (self.place is not None) == (self.everything or selection.chooses):
            raise typer.BadParameter("name one PARTITION:OFFSET, or choose by --all or a filter")
        with reading() as (settings, database):
            letters = self._letters(settings, database, selection)
            if self.dry_run:
                count = sum(self._say(one.place, "would be ") for one in letters)
                typer.echo(f"{count:,} dead letters would be {self.action}")
                return
            count = self._do(settings, letters, work)
        typer.echo(f"{count:,} dead letters {self.action}")

    def _letters(
        self, settings: "Settings", database: "ClickHouse", selection: "Selection"
    ) -> Iterator["DeadLetter"]:
        from app.dead_letters.selection import find, select  # noqa: PLC0415  (slow to import)
        from app.kafka.schema_ids import codec_for  # noqa: PLC0415

        if self.place is not None:
            return iter([find(settings, database, options.place_of(self.place))])
        found = select(settings, database, codec_for(settings), selection)
        return (one.letter for one in found)

    def _do(self, settings: "Settings", letters: Iterator["DeadLetter"], work: _Work) -> int:
        from app.clickhouse.client import writer  # noqa: PLC0415  (slow to import)
        from app.dead_letters.audit import Audit, operator  # noqa: PLC0415

        actor = operator(settings, options.token_of(self.token))
        marks = writer(settings)
        count = 0
        try:
            for place in work(settings, letters, Audit(marks, actor, self.reason)):
                count += self._say(place)
        except KeyboardInterrupt:
            typer.echo(f"interrupted: {count:,} dead letters {self.action}; the rest are open")
            raise typer.Exit(130) from None
        finally:
            marks.close()
        return count

    def _say(self, place: "Place", before: str = "") -> int:
        typer.echo(f"{place} {before}{self.action}")
        return 1

"""What devices send: drawn from the seed, and of every sort that the promises speak of."""

from pathlib import Path

import pytest

from app.chaos.expected import identities
from app.chaos.journal import Journal
from app.chaos.people import people, probes
from schemas.catalogue import catalogue
from schemas.topics import partition_of
from tests.chaos.scripts import ANSWER, DAY_MS, END_MS, device, made


def test_a_seed_gives_the_same_people_and_uploads_again() -> None:
    assert people(3, 6) == people(3, 6)
    assert people(3, 6) != people(4, 6)
    bodies = [[upload.body() for upload in made(3, device(3), 200)] for _ in range(2)]
    assert bodies[0] == bodies[1]


def test_there_is_a_probe_for_every_partition() -> None:
    assert [partition_of(one.user_id, 6) for one in probes(9, 6)] == list(range(6))


@pytest.mark.parametrize("name", ["watch", "strap", "sensor"])
def test_samples_are_plausible_and_in_time(name: str) -> None:
    for upload in made(1, device(1, name), 600):
        for piece in upload.pieces:
            metric = catalogue()[piece.metric]
            assert piece.unit in metric.conversions
            for at, value in piece.good():
                assert metric.low <= value <= metric.high
                assert value * 2 == int(value * 2), "sums are exact in any order"
                assert END_MS - 70 * DAY_MS < at <= END_MS


def test_only_corrections_change_a_value() -> None:
    values: dict[object, float] = {}
    changed = 0
    seen: set[str] = set()
    for upload in made(2, device(2), 1_500):
        if upload.upload_id in seen:  # sent again: what it brings has been seen
            continue
        seen.add(upload.upload_id)
        for identity, value in identities(upload):
            if values.setdefault(identity, value) != value:
                assert upload.action == "correct"
                values[identity] = value
                changed += 1
    assert changed > 50


def test_every_sort_of_upload_occurs() -> None:
    sent = made(5, device(5), 1_000)
    actions = {upload.action for upload in sent}
    assert actions == {"next", "overlap", "hold", "dying", "bad", "copy", "late", "correct"}
    assert len({upload.upload_id for upload in sent}) < len(sent), "some are sent again"
    live = [upload.pieces[0].times[0] for upload in sent if upload.action in ("next", "hold")]
    assert live != sorted(live), "out of order"
    late = [upload for upload in sent if upload.action == "late"]
    assert min(upload.pieces[0].times[0] for upload in late) < END_MS - 10 * DAY_MS
    reasons = {reason for upload in sent for reason in upload.wrong.values()}
    assert reasons == {
        "out_of_range", "not_a_number", "future_time", "bad_time", "missing_value",
    }  # fmt: skip


def test_the_journal_notices_an_answer_that_breaks_the_contract(tmp_path: Path) -> None:
    [upload, *_] = [one for one in made(6, device(6), 20) if one.action == "next"]
    upload.answer = None
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.sending(upload)
        assert journal.in_doubt == [upload]
        journal.acknowledged(upload, {"accepted": upload.good, "rejected": []})
        assert journal.promised == [upload]
        assert journal.wrong_answers == []
        journal.acknowledged(upload, ANSWER)
        assert len(journal.wrong_answers) == 1
        assert journal.repeated == 1

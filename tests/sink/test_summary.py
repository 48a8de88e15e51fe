"""The summary of a replay: counts from ClickHouse, and what is said when samples are missing."""

from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from prometheus_client import CollectorRegistry

from app.clickhouse.client import writer
from app.errors import RecordingError
from app.metrics import SinkMetrics
from app.replay.summary import Expected, run, wait_until_stored
from app.settings import Settings
from app.sink.late import recompute
from app.sink.records import Decoded
from app.sink.store import Store
from schemas.codec import Codec
from schemas.topics import UPLOADS
from schemas.uploads import UploadBatch
from schemas.windows import MINUTE, MINUTE_MS
from tests.clickhouse.batches import NOON_MS, Upload, batch_of
from tests.clickhouse.records import applied, declared
from tests.sink.running import Feed

pytestmark = pytest.mark.servers

_USER = uuid4()


async def _store(settings: Settings, group: list[Decoded]) -> None:
    store = Store(writer(settings), SinkMetrics(CollectorRegistry()), Codec())
    await store.store(group)
    store.close()


def _written(settings: Settings, batch: UploadBatch) -> Path:
    directory = settings.data_dir / "run"
    directory.mkdir()
    ids = directory / "ids.txt"
    ids.write_text("".join(f"{raw.tobytes().hex()}\n" for raw in batch.upload_ids))
    summary = {
        "complete": True, "accepted": int(batch.accepted.sum()), "rejected": 0,
        "user_ids": [str(_USER)], "upload_ids_file": str(ids), "started_ms": NOON_MS,
    }  # fmt: skip
    path = directory / "replay.json"
    path.write_bytes(orjson.dumps(summary))
    return path


async def test_a_stored_replay_is_shown_and_balanced(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    batch = batch_of([Upload(_USER, [(0, 60.0), (1, 61.0)], repeated=1)])
    await _store(settings, [declared(batch), applied(batch)])
    window = (str(_USER), "heart_rate", NOON_MS, NOON_MS + MINUTE_MS)
    recompute(writer(settings), MINUTE, [window])
    _written(settings, batch)
    assert run(settings) == 0
    output = capsys.readouterr().out
    assert "1 uploads: 3 samples accepted = 2 stored + 1 duplicate + 0 dead-lettered" in output
    assert "ledger balanced" in output
    [line] = [line for line in output.splitlines() if str(_USER)[:8] in line]
    assert line.split()[1:] == ["heart_rate", "2", "1", "0", "0", "0"]


async def test_what_is_missing_is_said(settings: Settings, feed: Feed) -> None:
    batch = batch_of([Upload(_USER, [(0, 60.0)]), Upload(_USER, [(9, 60.0)])])
    expected = Expected.read(_written(settings, batch))
    assert wait_until_stored(settings, expected, patience=2) == (
        "the ledger has 0 of 2 accepted uploads"
    )
    await _store(settings, [declared(batch)])
    assert wait_until_stored(settings, expected, patience=2) == "2 uploads are not balanced"
    feed.send(UPLOADS, b"waits")
    assert wait_until_stored(settings, expected, patience=0.1) == (
        "still under way: vitalstream-worker: 1 records"
    )


def test_a_replay_that_was_not_is_an_error(settings: Settings) -> None:
    with pytest.raises(RecordingError, match=r"replay\.json"):
        run(settings)

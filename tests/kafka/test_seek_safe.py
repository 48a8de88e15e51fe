"""A rewind brings every record again that was not acknowledged."""

import pytest

from schemas.topics import UPLOADS
from tests.kafka.conftest import SmallApps
from tests.servers import wait_until
from tests.sink.running import Feed

pytestmark = pytest.mark.servers


def test_a_partition_of_which_nothing_was_committed_begins_again(
    apps: SmallApps, feed: Feed
) -> None:
    feed.send(UPLOADS, b"first", b"second", b"rewind")
    apps.start("rewind")
    wait_until(lambda: apps.log.count("value=rewind") == 2, "all are taken again", 40)
    taken = [line for line in apps.log.splitlines() if "taken" in line]
    values = [line.partition("value=")[2].split()[0] for line in taken]
    assert values == ["first", "second", "rewind"] * 2

"""Partitions: the same for every producer, in every language."""

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import _murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        # the vectors of Apache Kafka's own UtilsTest
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_the_java_clients(key: bytes, signed: int) -> None:
    assert _murmur2(key) == signed % (1 << 32)


@given(st.binary(max_size=70))
def test_the_hash_is_that_of_aiokafka(key: bytes) -> None:
    assert _murmur2(key) == murmur2(key) % (1 << 32)


@given(st.text(max_size=40), st.integers(1, 200))
def test_a_user_has_the_partition_of_other_producers(user: str, partitions: int) -> None:
    expected = (murmur2(user.encode()) & 0x7FFFFFFF) % partitions
    assert partition_of(user, partitions) == expected

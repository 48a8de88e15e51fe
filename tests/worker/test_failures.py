"""Where failed records go, and what their headers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.failures import (
    ATTEMPT,
    ERROR_CHAIN,
    FIRST_FAILED,
    NOT_BEFORE,
    ORIGIN,
    REPLAYED_FROM,
    Origin,
    Rerouted,
    deaths,
    reroute,
)
from app.errors import DecodeError, RegistryUnavailableError
from schemas.topics import DEAD_LETTERS, RETRY_1M, RETRY_5S, RETRY_10M

NOW = 1_795_428_000_000
HERE = Origin("uploads", 2, 41)


def test_a_retriable_failure_goes_through_every_tier_and_then_to_the_dead_letters() -> None:
    error = RegistryUnavailableError("no answer")
    headers: dict[str, bytes] = {}
    seen = []
    for attempt in range(4):
        moved = reroute(
            error, b"x", Origin("uploads", 2, 41 + attempt), headers,
            now_ms=NOW + attempt, attempts=3,
        )  # fmt: skip
        headers = dict(moved.headers)
        seen.append(moved.topic)
    assert seen == [RETRY_5S, RETRY_1M, RETRY_10M, DEAD_LETTERS]
    assert headers[ORIGIN] == b"uploads/2/41", "the first place is kept"
    assert headers[FIRST_FAILED] == b"%d" % NOW
    assert headers[ERROR_CHAIN].count(b"RegistryUnavailableError") == 4
    assert headers[ATTEMPT] == b"3"


def test_the_delay_of_a_tier_is_at_least_its_name_and_at_most_a_fifth_more() -> None:
    moved = reroute(RegistryUnavailableError(""), b"x", HERE, {}, now_ms=NOW, attempts=3)
    assert 5_000 <= int(dict(moved.headers)[NOT_BEFORE]) - NOW <= 6_000


def test_a_permanent_failure_goes_to_the_dead_letters_at_once() -> None:
    moved = reroute(DecodeError("not Avro"), b"bytes", HERE, {}, now_ms=NOW, attempts=3)
    assert moved.dead
    assert (moved.partition, moved.value) == (2, b"bytes")


def test_an_error_of_a_library_tells_its_class_only() -> None:
    moved = reroute(ValueError("heart rate 61"), b"", HERE, {}, now_ms=NOW, attempts=3)
    assert dict(moved.headers)["vs-error"] == b"ValueError"


@pytest.mark.parametrize("attempt", [b"", b"soon", b"-1", b"\xff", b"9" * 400])
def test_a_count_that_is_none_is_a_first_attempt(attempt: bytes) -> None:
    moved = reroute(
        RegistryUnavailableError(""), b"x", HERE, {ATTEMPT: attempt}, now_ms=NOW, attempts=3
    )
    assert moved.topic == RETRY_5S
    assert dict(moved.headers)[ATTEMPT] == b"1"


def test_a_long_chain_keeps_its_first_and_its_last_errors() -> None:
    headers: dict[str, bytes] = {}
    for number in range(100):
        error = RegistryUnavailableError(f"{number} " + "\N{SNOWMAN}" * 30)
        headers = dict(reroute(error, b"", HERE, headers, now_ms=NOW, attempts=3).headers)
    chain = headers[ERROR_CHAIN].decode()
    assert len(headers[ERROR_CHAIN]) <= 2_000
    links = chain.split(" | ")
    assert links[0].startswith("RegistryUnavailableError: 0 ")
    assert [link.split()[1] for link in links[1:]] == [
        str(number) for number in range(101 - len(links), 100)
    ]


@given(st.binary(max_size=300), st.text(max_size=3_000))
def test_whatever_the_headers_hold_a_failure_is_routed(held: bytes, said: str) -> None:
    headers = dict.fromkeys([ATTEMPT, ERROR_CHAIN, ORIGIN, FIRST_FAILED, REPLAYED_FROM], held)
    moved = reroute(DecodeError(said), b"x", HERE, headers, now_ms=NOW, attempts=3)
    assert moved.dead
    assert moved.kind == "DecodeError"
    assert len(dict(moved.headers)[ERROR_CHAIN]) <= 2_000


def test_deaths_are_counted_by_kind_without_those_that_were_replayed() -> None:
    def moved(error: Exception, headers: dict[str, bytes] | None = None) -> Rerouted:
        return reroute(error, b"", HERE, headers or {}, now_ms=NOW, attempts=3)

    again = moved(DecodeError("x"), {REPLAYED_FROM: b"uploads-dlq/0/1"})
    assert again.replayed
    assert deaths(
        [moved(DecodeError("x")), moved(ValueError("x")), moved(DecodeError("y")),
         moved(RegistryUnavailableError("")), again]
    ) == {"DecodeError": 2, "ValueError": 1}  # fmt: skip

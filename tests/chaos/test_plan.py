"""The plan of faults follows from the seed, and no kind is forgotten."""

from itertools import islice

from app.chaos.faults import SystemInjector
from app.chaos.plan import FULL_DISK, KINDS, Episode, episodes, kinds


def drawn(seed: int, count: int) -> list[Episode]:
    return list(islice(episodes(seed, list(KINDS)), count))


def test_a_seed_gives_the_same_plan_again_and_another_seed_another_one() -> None:
    assert drawn(5, 50) == drawn(5, 50)
    assert drawn(5, 50) != drawn(6, 50)


def test_every_kind_comes_before_any_comes_again() -> None:
    names = [fault.kind for episode in drawn(7, 200) for fault in episode.faults]
    for start in range(0, len(names) - len(KINDS), len(KINDS)):
        assert set(names[start : start + len(KINDS)]) == KINDS.keys()


def test_faults_come_alone_and_together() -> None:
    plan = drawn(8, 100)
    assert {len(episode.faults) for episode in plan} == {1, 2, 3}
    assert all(episode.faults[0].after == 0 for episode in plan)
    for fault in (fault for episode in plan for fault in episode.faults):
        least, most = KINDS[fault.kind].seconds
        assert least <= fault.seconds <= most
        assert fault.mode in KINDS[fault.kind].modes


def test_without_processes_only_devices_and_their_networks_are_disturbed() -> None:
    assert kinds(client_only=True) == ["cut-client-gateway", "clock-jump"]
    assert set(kinds()) == KINDS.keys()
    assert set(kinds(small_disk=False)) == KINDS.keys() - {FULL_DISK}


def test_every_kind_can_be_injected() -> None:
    names = SystemInjector._known(SystemInjector.__new__(SystemInjector))
    assert names.keys() == KINDS.keys()

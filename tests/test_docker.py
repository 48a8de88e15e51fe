"""The containers' files, checked as a stranger would break them; no Docker is needed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]

from app import __version__
from app.cli.registry import COMMANDS
from app.settings import Settings
from tests import servers

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
OWN = sorted(name for name, service in SERVICES.items() if "build" in service)
SECRETS = {
    "VITALSTREAM_AUTH_SECRET",
    "VITALSTREAM_CLICKHOUSE_PASSWORD",
    "VITALSTREAM_CLICKHOUSE_READER_PASSWORD",
}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<rest>[^}]*))?\}")
_PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def variables(value: object) -> Iterator[re.Match[str]]:
    """Yield every ``${VARIABLE}`` of a part of the compose file."""
    if isinstance(value, dict):
        for item in value.values():
            yield from variables(item)
    elif isinstance(value, list):
        for item in value:
            yield from variables(item)
    elif isinstance(value, str):
        assert "$" not in _VARIABLE.sub("", value), value
        yield from _VARIABLE.finditer(value)


def filled(text: object, given: dict[str, str] | None = None) -> str:
    """Return a text as compose fills it in: what is given, else its default."""

    def fill(match: re.Match[str]) -> str:
        value = (given or {}).get(match["name"], "")
        return value or (match["rest"] if match["how"] == ":-" else "")

    return _VARIABLE.sub(fill, str(text))


def environment(name: str) -> dict[str, str]:
    """Return what a service finds in its environment, every secret filled with 64 characters."""
    given = {match["name"]: "a" * 64 for match in variables(SERVICES[name]) if match["how"] == ":?"}
    return {key: filled(value, given) for key, value in SERVICES[name]["environment"].items()}


def instructions(word: str) -> list[str]:
    """Return the arguments of every such instruction of the Dockerfile, lines joined."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    return re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


# Every container


@every_service
def test_the_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert _PINNED.fullmatch(image), image
    if name in OWN:
        assert image == f"vitalstream:{__version__}"


def test_the_servers_are_those_that_the_tests_run_against() -> None:
    assert SERVICES["kafka"]["image"].startswith(servers.KAFKA_IMAGE)
    assert SERVICES["clickhouse"]["image"].startswith(servers.CLICKHOUSE_IMAGE)


@every_service
def test_nobody_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    user, group = (int(part) for part in service["user"].split(":"))
    assert user > 0
    assert group > 0
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "pid", "network_mode", "ipc"} & set(service)
    assert not [v for v in service.get("volumes", []) if "docker.sock" in v]


@every_service
def test_memory_and_processes_are_bounded(name: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[name]["mem_limit"])
    assert SERVICES[name]["pids_limit"] > 0
    for mount in SERVICES[name].get("tmpfs", []):
        assert re.search(r"[:,]size=\d+m\b", mount), mount


@every_service
def test_it_is_watched_and_started_again_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if name == "init":
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    probe = service["healthcheck"]
    assert probe["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(probe)


@every_service
def test_it_waits_for_what_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other == "init" else "service_healthy"
        assert how == {"condition": expected}
        assert (other == "init") or "healthcheck" in SERVICES[other]
    if name in OWN:
        needed = {"kafka", "clickhouse"} if name == "init" else {"kafka", "init"}
        assert needed <= set(SERVICES[name]["depends_on"])


# What can be reached, and by whom


def test_only_the_gateway_and_clickhouse_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gateway", "clickhouse"}
    for port in [filled(port) for ports in published.values() for port in ports]:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_kafka_cannot_be_reached_from_outside() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in set(SERVICES) - {"gateway", "clickhouse"}:
        assert SERVICES[name]["networks"] == ["inside"], name


def test_volumes_are_named_and_files_exist() -> None:
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).is_file(), source
                assert volume.endswith(":ro"), volume
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


# Settings and secrets


@pytest.mark.parametrize("name", OWN)
def test_the_settings_exist_and_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"VITALSTREAM_{field.upper()}" for field in Settings.model_fields}
    given = environment(name)
    assert set(given) <= known
    for key in [key for key in os.environ if key.startswith("VITALSTREAM_")]:
        monkeypatch.delenv(key)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    settings = Settings(_env_file=None)
    assert settings.bootstrap == "kafka:9092"
    assert settings.clickhouse == "http://clickhouse:8123"


def test_no_secret_has_a_default() -> None:
    required = {m["name"] for m in variables(SERVICES) if m["how"] == ":?"}
    assert required == SECRETS
    for match in variables(SERVICES):
        assert match["how"] in {":-", ":?"}, match[0]
        assert (match["name"] in SECRETS) == (match["how"] == ":?"), match[0]
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"SECRET|PASSWORD", key):
                assert ":?" in str(value), f"{name}: {key}"


def test_secrets_go_to_those_alone_who_need_them() -> None:
    holders = {
        secret: {n for n, s in SERVICES.items() if secret in str(s.get("environment"))}
        for secret in SECRETS
    }
    assert holders == {
        "VITALSTREAM_AUTH_SECRET": {"gateway"},
        "VITALSTREAM_CLICKHOUSE_PASSWORD": {"clickhouse", "init", "sink"},
        "VITALSTREAM_CLICKHOUSE_READER_PASSWORD": {"clickhouse", "gateway"},
    }


def test_the_example_names_every_variable_and_no_secret() -> None:
    text = (DOCKER / ".env.example").read_text()
    offered = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    used = {match["name"]: match for match in variables(SERVICES)}
    assert set(offered) == set(used)
    for name, value in offered.items():
        assert value == (used[name]["rest"] if used[name]["how"] == ":-" else ""), name


def test_the_probes_ask_the_ports_that_are_served() -> None:
    for name in OWN:
        probe = str(SERVICES[name].get("healthcheck", ""))
        key = "VITALSTREAM_PORT" if name == "gateway" else "VITALSTREAM_METRICS_PORT"
        if probe:
            assert f"127.0.0.1:{environment(name)[key]}/readyz" in probe
    assert SERVICES["gateway"]["ports"][0].endswith(
        f":{environment('gateway')['VITALSTREAM_PORT']}"
    )


def test_the_commands_exist() -> None:
    for name in OWN:
        service = SERVICES[name]
        line = " ".join(service.get("entrypoint", [])) + " " + " ".join(service.get("command", []))
        verbs = re.findall(r"app\.cli (\w+)", line) or line.split()
        assert set(verbs) <= set(COMMANDS), line


# ClickHouse's own configuration


def users() -> ElementTree.Element:
    """Return the configuration of users."""
    found = ElementTree.parse(DOCKER / "clickhouse" / "users.xml").getroot().find("users")  # noqa: S314
    assert found is not None
    return found


def test_clickhouse_files_are_xml_of_the_right_kind() -> None:
    for path in (DOCKER / "clickhouse").glob("*.xml"):
        assert ElementTree.parse(path).getroot().tag == "clickhouse"  # noqa: S314


def test_every_clickhouse_user_has_a_password_from_the_environment() -> None:
    given = SERVICES["clickhouse"]["environment"]
    assert {user.tag for user in users()} == {
        environment("sink")["VITALSTREAM_CLICKHOUSE_USER"],
        environment("gateway")["VITALSTREAM_CLICKHOUSE_READER"],
    }
    for user in users():
        password = user.find("password")
        assert password is not None
        assert not password.text
        assert ":?" in given[password.attrib["from_env"]]


def test_the_reader_may_read_the_database_and_nothing_else() -> None:
    reader = users().find("default")
    assert reader is not None
    assert reader.attrib == {"replace": "replace"}
    assert reader.findtext("profile") == "analyst"
    grants = [query.text for query in reader.iterfind("grants/query")]
    assert grants == ["GRANT SELECT ON default.*"]
    assert reader.find("access_management") is None


# The image


def test_the_base_is_pinned() -> None:
    bases = [base.split(" AS ")[0] for base in instructions("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])


def test_every_package_and_the_lock_are_in_the_image_and_its_context() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    copied = {line.split()[0] for line in instructions("COPY") if not line.startswith("--from")}
    assert copied == packages | {"requirements.lock"}
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert context[1] == "*"
    assert {line[1:] for line in context if line.startswith("!")} == copied
    assert "**/.env" in context


def test_archives_are_checked_and_nothing_runs_as_root() -> None:
    install = next(line for line in instructions("RUN") if "pip install" in line)
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    [user] = instructions("USER")
    assert {SERVICES[name]["user"] for name in OWN} == {user}
    uid, gid = user.split(":")
    made = " ".join(instructions("RUN"))
    assert f"--uid {uid} " in made
    assert f"--gid {gid} " in made
    assert not instructions("ADD")

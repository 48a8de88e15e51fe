"""Topic administration: create what is missing, check what is there, describe it."""

from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from app.errors import ConfigurationError, KafkaUnavailableError
from app.kafka.clients import common_config
from app.kafka.holds import HOLDS_TOPIC
from app.settings import Settings
from schemas.topics import TOPICS, Topic

_TIMEOUT = 20.0
_ALL = (*TOPICS, HOLDS_TOPIC)


def admin(settings: Settings) -> AdminClient:
    """Return an administration client of the deployment's broker."""
    return AdminClient(common_config(settings))


def existing(settings: Settings) -> dict[str, int]:
    """Return the partition count of every topic of the deployment that exists.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    try:
        metadata = admin(settings).list_topics(timeout=_TIMEOUT)
    except KafkaException as error:
        raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    names = {settings.topic(topic.name): topic.name for topic in _ALL}
    return {
        names[name]: len(topic.partitions)
        for name, topic in metadata.topics.items()
        if name in names
    }


def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and return their names.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    ConfigurationError
        If a topic exists with another number of partitions, or the broker refuses one.
    """
    have = existing(settings)
    _check_partitions(settings, have)
    missing = [topic for topic in _ALL if topic.name not in have]
    if not missing:
        return []
    new = [
        NewTopic(
            settings.topic(topic.name),
            num_partitions=settings.partitions,
            replication_factor=settings.kafka_replication,
            config=_config(settings, topic),
        )
        for topic in missing
    ]
    client = admin(settings)  # kept: its futures fail once it is collected
    for name, future in client.create_topics(new, operation_timeout=_TIMEOUT).items():
        _wait_created(name, future)
    return [topic.name for topic in missing]


def check_topics(settings: Settings) -> list[str]:
    """Return what is wrong with the deployment's topics; nothing when all is well.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    have = existing(settings)
    wrong = [f"{topic.name}: missing" for topic in _ALL if topic.name not in have]
    wrong += [
        f"{name}: {count} partitions, not {settings.partitions}"
        for name, count in have.items()
        if count != settings.partitions
    ]
    actual = _configs(settings, list(have))
    for topic in _ALL:
        for key, expected in _config(settings, topic).items() if topic.name in have else ():
            found = actual[topic.name].get(key)
            if found is None or set(found.split(",")) != set(expected.split(",")):
                wrong.append(f"{topic.name}: {key} is {found}, not {expected}")
    return wrong


def describe_topics(settings: Settings) -> list[dict[str, Any]]:
    """Return each topic's name, purpose, key, schema, partitions and settings.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    have = existing(settings)
    return [
        {
            "name": settings.topic(topic.name),
            "purpose": topic.purpose,
            "key": topic.key,
            "schema": topic.subject or "raw bytes",
            "partitions": have.get(topic.name, 0),
            "config": _config(settings, topic),
        }
        for topic in _ALL
    ]


def _config(settings: Settings, topic: Topic) -> dict[str, str]:
    in_sync = "2" if settings.kafka_replication >= 3 else "1"
    return topic.config | {"min.insync.replicas": in_sync, "compression.type": "producer"}


def _configs(settings: Settings, names: list[str]) -> dict[str, dict[str, str]]:
    resources = {ConfigResource(ResourceType.TOPIC, settings.topic(name)): name for name in names}
    if not resources:
        return {}
    client = admin(settings)  # kept: its futures fail once it is collected
    try:
        return {
            resources[resource]: {
                key: entry.value for key, entry in future.result(_TIMEOUT).items()
            }
            for resource, future in client.describe_configs(list(resources)).items()
        }
    except KafkaException as error:
        raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error


def _check_partitions(settings: Settings, have: dict[str, int]) -> None:
    for name, count in have.items():
        if count != settings.partitions:
            raise ConfigurationError(
                f"topic {settings.topic(name)} has {count} partitions, VITALSTREAM_PARTITIONS is "
                f"{settings.partitions}: people would change partitions and leave their state"
            )


def _wait_created(name: str, future: "Future[None]") -> None:
    try:
        future.result(_TIMEOUT)
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.TOPIC_ALREADY_EXISTS:  # another instance was faster
            return
        if error.args[0].retriable():
            raise KafkaUnavailableError(f"topic {name}: {error.args[0].str()}") from error
        raise ConfigurationError(f"topic {name}: {error.args[0].str()}") from error

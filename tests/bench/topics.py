"""Reading whole topics."""

from confluent_kafka import Consumer, TopicPartition


def read(bootstrap: str, topic: str, partitions: int) -> list[list[bytes]]:
    """Return the values of every partition of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    found: list[list[bytes]] = []
    try:
        for number in range(partitions):
            here = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(here, timeout=10)
            consumer.assign([here])
            values: list[bytes] = []
            while len(values) < end:
                values += [m.value() or b"" for m in consumer.consume(end - len(values), 10)]
            found.append(values)
    finally:
        consumer.close()
    return found

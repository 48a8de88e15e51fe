"""The files that the embedded broker reads: server properties and logging."""

from pathlib import Path

NODE_ID = 1

# One node, one machine: few threads and partitions, so that it starts fast and stays small;
# nothing that changes what a client sees.
_ONE_NODE = {
    "process.roles": "broker,controller",
    "node.id": str(NODE_ID),
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.segment.bytes": str(16 << 20),
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "transaction.state.log.segment.bytes": str(16 << 20),
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "message.max.bytes": str(16 << 20),
    "socket.request.max.bytes": str(64 << 20),
    "replica.fetch.max.bytes": str(16 << 20),
    "log.segment.bytes": str(64 << 20),
    "log.retention.hours": str(24 * 7),
    "log.retention.check.interval.ms": "60000",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "log.cleaner.threads": "1",
    "metadata.log.segment.bytes": str(16 << 20),
    "metadata.max.retention.bytes": str(64 << 20),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    # After a kill -9 the broker may register again only when its old session has ended.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "400",
}


def server_properties(
    *, data: Path, host: str, port: int, controller_port: int, advertised: str
) -> str:
    """Return ``server.properties`` of the one node.

    Parameters
    ----------
    data
        Directory of the log segments.
    host, port
        Where clients connect; ``advertised`` is the host that they are told.
    controller_port
        Loopback port of the KRaft controller. The quorum is given by address, not recorded in the
        metadata, so that it may differ from one start to the next.
    """
    properties = _ONE_NODE | {
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{advertised}:{port}",
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "log.dirs": str(data),
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def log_properties(log: Path) -> str:
    """Return a Log4j configuration that writes ``log`` and keeps one older file of 10 MiB."""
    return f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c{{1}})%n%throwable
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""

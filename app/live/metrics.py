"""Prometheus metrics of the live pages: every name once, typed."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class LiveMetrics:
    """Metrics of a gateway's live pages; labels hold no person."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "vitalstream_live_connections", "Open live connections.", registry=registry
        )
        self.subscriptions = Gauge(
            "vitalstream_live_subscriptions", "Open live subscriptions.", registry=registry
        )
        self.closed = Counter(
            "vitalstream_live_closed",
            "Live connections closed by the server, by close code; 1006: cut off, too slow.",
            ["code"],
            registry=registry,
        )
        self.resets = Counter(
            "vitalstream_live_resets",
            "Subscriptions that had lost their place and got a snapshot.",
            registry=registry,
        )
        self.snapshots = Counter(
            "vitalstream_live_snapshots",
            "Snapshots of a person, by whether stored history was there.",
            ["history"],
            registry=registry,
        )
        self.messages = Counter(
            "vitalstream_live_messages", "Live messages sent.", ["type"], registry=registry
        )
        # The feed from Kafka and what is kept of it
        self.feed_records = Counter(
            "vitalstream_live_feed_records", "Records read.", ["topic"], registry=registry
        )
        self.feed_unreadable = Counter(
            "vitalstream_live_feed_unreadable",
            "Records that could not be decoded.",
            ["topic"],
            registry=registry,
        )
        self.feed_lag = Gauge(
            "vitalstream_live_feed_lag_records", "Records not read yet.", registry=registry
        )
        self.feed_restarts = Counter(
            "vitalstream_live_feed_restarts",
            "Times that the feed left records out or had to look for its place.",
            registry=registry,
        )
        self.feed_connected = Gauge(
            "vitalstream_live_feed_connected", "1 while Kafka answers.", registry=registry
        )
        self.ring_bytes = Gauge(
            "vitalstream_live_ring_bytes", "Bytes of records kept.", registry=registry
        )
        self.people = Gauge(
            "vitalstream_live_people", "People whose latest values are kept.", registry=registry
        )

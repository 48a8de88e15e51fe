"""Prometheus metrics: every name of every process, once, typed.

A process makes a registry and the group of metrics that is its own, and passes them on. Labels
hold no user, upload or device: their number is bounded.
"""

from collections.abc import Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def new_registry() -> CollectorRegistry:
    """Return a registry for one server.

    It also shows what is registered for the whole process: CPU, memory and files, and the metrics
    that modules keep for themselves.
    """
    registry = CollectorRegistry()
    registry.register(REGISTRY)
    return registry


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Return the metrics in Prometheus' text format, and its content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class GatewayMetrics:
    """Metrics of a gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Ingest. `outcome`: accepted, resent, or the kind of problem; `transport`: http, stream.
        self.uploads = Counter(
            "vitalstream_uploads", "Uploads answered.", ["transport", "outcome"], registry=registry
        )
        self.samples = Counter(
            "vitalstream_samples",
            "Samples of acknowledged uploads: accepted (repeated ones included), repeated.",
            ["outcome"],
            registry=registry,
        )
        self.rejected_samples = Counter(
            "vitalstream_rejected_samples", "Samples rejected.", ["reason"], registry=registry
        )
        self.in_flight_uploads = Gauge(
            "vitalstream_in_flight_uploads", "Uploads that wait for Kafka.", registry=registry
        )
        self.in_flight_samples = Gauge(
            "vitalstream_in_flight_samples", "Samples that wait for Kafka.", registry=registry
        )
        self.body_bytes = Gauge(
            "vitalstream_body_bytes", "Bytes of request bodies held.", registry=registry
        )
        self.stream_connections = Gauge(
            "vitalstream_stream_connections", "Open ingest WebSockets.", registry=registry
        )
        self.senders = Gauge(
            "vitalstream_rate_limited_senders", "Token buckets held.", registry=registry
        )
        # Kafka
        self.batch_uploads = Histogram(
            "vitalstream_batch_uploads",
            "Uploads in one record.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
            registry=registry,
        )
        self.produce_seconds = Histogram(
            "vitalstream_produce_seconds",
            "From handing a batch to the producer to its acknowledgement.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.kafka_up = Gauge(
            "vitalstream_kafka_up", "Whether Kafka answered when last asked.", registry=registry
        )
        self.statuses_lost = Counter(
            "vitalstream_statuses_lost", "Statuses that could not be written.", registry=registry
        )
        self.undecodable = Counter(
            "vitalstream_undecodable_records",
            "Records of a followed topic that could not be read.",
            ["topic"],
            registry=registry,
        )
        # Memory
        self.verified_tokens = Gauge(
            "vitalstream_verified_tokens",
            "Tokens that are not verified again while they hold.",
            registry=registry,
        )
        self.status_cache_uploads = Gauge(
            "vitalstream_status_cache_uploads", "Upload statuses held.", registry=registry
        )
        self.user_settings = Gauge(
            "vitalstream_user_settings", "People whose settings are held.", registry=registry
        )
        # HTTP. `route` is the route's pattern, never an address.
        self.request_seconds = Histogram(
            "vitalstream_http_request_seconds",
            "Requests by route and status.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        # What is asked for with every request: finding a labelled metric costs more than using it.
        self._answered: dict[tuple[str, str], Counter] = {}
        self._requests: dict[tuple[str, str, int], Histogram] = {}

    def answered(self, transport: str, outcome: str) -> None:
        """Count an answered upload."""
        counter = self._answered.get((transport, outcome))
        if counter is None:
            counter = self._answered[transport, outcome] = self.uploads.labels(transport, outcome)
        counter.inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Measure a request."""
        histogram = self._requests.get((method, route, status))
        if histogram is None:
            histogram = self.request_seconds.labels(method, route, str(status))
            self._requests[method, route, status] = histogram
        histogram.observe(seconds)


class WorkerMetrics:
    """Metrics of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # `kind`: records, uploads, samples, duplicate, late, retried, dead.
        self._applied = Counter(
            "vitalstream_worker_applied", "What was applied, by kind.", ["kind"], registry=registry
        )
        self._step_seconds = Histogram(
            "vitalstream_worker_step_seconds",
            "One step: records applied, outputs and state confirmed.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._forwarded = Counter(
            "vitalstream_worker_retries_forwarded",
            "Records that went from a retry topic back to uploads.",
            ["tier"],
            registry=registry,
        )
        self._flush_seconds = Histogram(
            "vitalstream_worker_flush_seconds",
            "One flush: changed people and offsets written down and confirmed.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._flushed = Counter(
            "vitalstream_worker_people_written", "States written down.", registry=registry
        )
        self.people = Gauge("vitalstream_worker_people", "People in the state.", registry=registry)
        self.series = Gauge("vitalstream_worker_series", "Series in the state.", registry=registry)
        self.busy_series = Gauge(
            "vitalstream_worker_busy_series",
            "Series with an open alert, or one that is about to be.",
            registry=registry,
        )
        self.sample_pages = Gauge(
            "vitalstream_worker_sample_pages",
            "Pages of 16 recent samples in the state.",
            registry=registry,
        )
        self.people_with_zone = Gauge(
            "vitalstream_worker_people_with_zone",
            "People whose own time zone the worker knows.",
            registry=registry,
        )
        self.expired_records = Gauge(
            "vitalstream_worker_expired_records",
            "Records that retention deleted before they were read.",
            registry=registry,
        )

    def step(self, counts: Mapping[str, int], seconds: float) -> None:
        """Count one step."""
        for kind, count in counts.items():
            self._applied.labels(kind).inc(count)
        self._step_seconds.observe(seconds)

    def flushed(self, people: int, seconds: float) -> None:
        """Count one flush."""
        self._flushed.inc(people)
        self._flush_seconds.observe(seconds)

    def forwarded(self, tier: str) -> None:
        """Count a record that went back to uploads."""
        self._forwarded.labels(tier).inc()


class SinkMetrics:
    """Metrics of a sink."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # `outcome`: stored, dead.
        self.records = Counter(
            "vitalstream_sink_records", "Records taken.", ["topic", "outcome"], registry=registry
        )
        self.rows = Counter(
            "vitalstream_sink_rows", "Rows inserted, repeated ones too.", ["table"],
            registry=registry,
        )  # fmt: skip
        self.insert_seconds = Histogram(
            "vitalstream_sink_insert_seconds",
            "One insert that ClickHouse took.",
            ["table"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.late_windows = Counter(
            "vitalstream_sink_late_windows", "Windows computed from storage.", registry=registry
        )
        self.backfill_pending = Gauge(
            "vitalstream_backfill_pending_windows",
            "Late windows that wait, as often as they were asked for.",
            registry=registry,
        )
        self.backfill_age_seconds = Gauge(
            "vitalstream_backfill_age_seconds",
            "How long the oldest request for late windows has waited.",
            registry=registry,
        )
        self.backfill_seconds = Counter(
            "vitalstream_backfill_seconds",
            "Time that queries for late windows took.",
            registry=registry,
        )
        self.store_delay_seconds = Histogram(
            "vitalstream_store_delay_seconds",
            "From the receipt of an upload by a gateway until its samples are stored.",
            buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 1800),
            registry=registry,
        )
        self.clickhouse_up = Gauge(
            "vitalstream_sink_clickhouse_up",
            "Whether ClickHouse did what it was last asked.",
            registry=registry,
        )
        self.refused = Counter(
            "vitalstream_sink_attempts_failed", "Statements that will be tried again.",
            ["error"], registry=registry,
        )  # fmt: skip
        self.expired_records = Gauge(
            "vitalstream_sink_expired_records",
            "Records that retention deleted before they were read.",
            registry=registry,
        )

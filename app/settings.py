"""Every setting of every process: one typed object, read once, from ``VITALSTREAM_*``.

``Settings()`` reads the environment and a ``.env`` file in the working directory. The table in
``docs/configuration.md`` is generated from the descriptions here (``vitalstream settings``).
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Positive = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """All settings, validated. Secrets are :class:`~pydantic.SecretStr` and never print."""

    model_config = SettingsConfigDict(
        env_prefix="VITALSTREAM_", env_file=".env", extra="ignore", frozen=True
    )

    # Where things are
    data_dir: Path = Field(
        Path(__file__).parents[1] / "var",
        description="Directory of everything that is kept on disk.",
    )
    host: str = Field("127.0.0.1", description="Address on which servers listen.")
    port: Port = Field(8080, description="Port of the gateway: ingest, API and pages.")
    clickhouse_port: Port = Field(8123, description="Port of the embedded ClickHouse (HTTP).")
    kafka_port: Port = Field(9092, description="Port of the embedded Kafka broker.")
    metrics_port: Port = Field(
        9100, description="First port of worker and sink metrics (/metrics, /readyz); 0: none."
    )
    port_offset: int = Field(0, ge=0, le=50_000, description="Added to every port that is used.")

    # Servers
    kafka_bootstrap: str | None = Field(
        None, description="host:port of a real Kafka; when unset an embedded broker is started."
    )
    kafka_replication: Positive = Field(
        1, description="Replication factor of topics that are created (3 in production)."
    )
    topic_prefix: str = Field(
        "", pattern="^[A-Za-z0-9._-]*$", description="Put before the name of every topic and group."
    )
    partitions: Positive = Field(6, description="Partitions of every topic that is created.")
    kafka_heap_mb: Positive = Field(512, description="Java heap of the embedded broker, in MiB.")
    java: Path | None = Field(
        None, description="Java >= 17 for the embedded broker; when unset the pinned one is used."
    )
    schema_registry_url: str | None = Field(
        None, description="A Confluent schema registry; when unset the project's own ids are used."
    )
    clickhouse_url: str | None = Field(
        None, description="http(s)://host:port of a real ClickHouse; when unset it is embedded."
    )
    clickhouse_database: str = Field("default", description="ClickHouse database of all tables.")
    clickhouse_user: str = Field("writer", description="ClickHouse user of sink and migrations.")
    clickhouse_password: SecretStr | None = Field(
        None, description="Its password; the embedded server makes one in DATA_DIR/secrets."
    )
    clickhouse_reader: str = Field("default", description="ClickHouse user of pages and queries.")
    clickhouse_reader_password: SecretStr = Field(SecretStr(""), description="Its password.")
    clickhouse_memory_mb: Positive = Field(
        2048, description="Memory limit of the embedded ClickHouse, in MiB."
    )
    clickhouse_query_seconds: Seconds = Field(15, description="Longest run of a reader's query.")

    # Authentication
    auth_secret: SecretStr | None = Field(
        None, description="HS256 key for tokens; when unset one is made in DATA_DIR/secrets."
    )
    auth_public_key: Path | None = Field(
        None, description="PEM public key (RS256/ES256) of an external token issuer, instead."
    )
    auth_issuer: str = Field("vitalstream", description="Expected `iss` of tokens.")
    auth_audience: str = Field("vitalstream", description="Expected `aud` of tokens.")
    auth_cache_tokens: Positive = Field(
        10_000, description="Verified tokens that a gateway remembers until they expire."
    )
    auth_demo_sign_in: bool = Field(
        False, description="Sign in visitors from the loopback address without a token (demo)."
    )

    # Gateway
    max_body_bytes: Positive = Field(8 << 20, description="Largest request body, after inflation.")
    max_samples_per_upload: Positive = Field(100_000, description="Most samples in one upload.")
    max_series_per_upload: Positive = Field(1_000, description="Most series in one upload.")
    max_in_flight_uploads: Positive = Field(
        2_000, description="Uploads that wait for the broker; beyond, 503 with Retry-After."
    )
    max_in_flight_samples: Positive = Field(
        2_000_000, description="Samples that wait for the broker; beyond, 503 with Retry-After."
    )
    max_bodies_bytes: Positive = Field(
        256 << 20, description="Request bodies held in memory at once; beyond, 503."
    )
    stream_window: Positive = Field(
        64, description="Unacknowledged uploads of one WebSocket before it is read no further."
    )
    rate_limit_per_second: float = Field(
        200, ge=0, description="Uploads a second of one token (bursts of ten times); 0: no limit."
    )
    coalesce_ms: float = Field(4, ge=0, le=1000, description="How long uploads wait for company.")
    coalesce_busy_ms: float = Field(
        24, ge=0, le=1000, description="How long they wait at most while more and more come."
    )
    batch_max_samples: Positive = Field(
        40_000, description="Samples after which a batch record is sent at once."
    )
    produce_timeout_seconds: Seconds = Field(
        5, description="Longest wait for the broker's acknowledgement before a 503."
    )
    future_tolerance_seconds: Seconds = Field(
        300, description="How far ahead of the gateway's clock a sample may be."
    )
    earliest_year: int = Field(1990, description="Samples before this year are bad_time.")
    status_cache_uploads: Positive = Field(
        100_000, description="Upload statuses that a gateway keeps in memory."
    )

    # Worker
    worker_id: str = Field("0", description="Names a worker among several on one machine.")
    worker_take: Positive = Field(256, description="Most batch records applied in one step.")
    worker_within_seconds: Seconds = Field(
        0.02, description="How long a step waits for more records; bounds the added delay."
    )
    live_horizon_seconds: int = Field(
        900, ge=60, le=2700,
        description="How long a series keeps its instants; older data goes to backfill.",
    )  # fmt: skip
    live_samples_max: int = Field(
        128, ge=16, le=128, description="Most instants that a series keeps, whatever the horizon."
    )
    changelog_seconds: Seconds = Field(
        1.0, description="How often a worker writes down the state of people who have changed."
    )
    changelog_longest_seconds: Seconds = Field(
        10.0, description="How far that stretches under load; bounds what a crash repeats."
    )
    worker_unacknowledged_bytes: Positive = Field(
        64 << 20, description="Batch records applied but not written down, at most, in bytes."
    )
    default_time_zone: str = Field("UTC", description="Zone of users who have set none (IANA).")
    retry_attempts: Positive = Field(3, description="Retry tiers that are tried before the DLQ.")

    # Worker and sink
    dead_ratio_limit: float = Field(
        0.05, ge=0, le=1, description="Part of uploads that may become dead letters; 1: no limit."
    )
    dead_ratio_uploads: Positive = Field(
        200, description="Least uploads in the window before that limit counts."
    )
    dead_ratio_seconds: Seconds = Field(300, description="Length of that window.")
    stall_seconds: Seconds = Field(
        120, description="Longest time without an acknowledgement while records wait; then restart."
    )

    # Sink
    sink_max_rows: Positive = Field(100_000, description="Most rows in one ClickHouse insert.")
    sink_within_seconds: Seconds = Field(1.0, description="Longest wait before an insert.")
    sink_take: Positive = Field(400, description="Most records in one ClickHouse insert.")
    backfill_share: float = Field(
        0.5, gt=0, le=1, description="Part of the time in which late windows may be computed."
    )
    backfill_windows: Positive = Field(
        100_000, description="Most late windows that a batch of the backfill takes."
    )
    retention_days: Positive = Field(
        3650, description="How long samples stay in ClickHouse (TTL of the samples table)."
    )

    # Live pages
    live_ring_seconds: Seconds = Field(
        120, description="How long live records are kept for browsers that reconnect."
    )
    live_ring_records: Positive = Field(
        20_000, description="Live records kept of each partition of a topic, at most."
    )
    live_ring_bytes: Positive = Field(
        256 << 20, description="Live records kept by a gateway, at most, in bytes."
    )
    live_people_max: Positive = Field(
        20_000, description="People whose latest values a gateway keeps in memory."
    )
    live_points_max: Positive = Field(
        20_000, description="Most samples in one live message; a browser reads the rest as history."
    )
    live_slow_seconds: Seconds = Field(
        5, description="How long a browser may take to accept a message before it is closed."
    )
    live_ping_seconds: Seconds = Field(25, description="How often live connections are probed.")
    live_subscriptions_max: Positive = Field(50, description="Subscriptions of one connection.")
    live_connections_max: Positive = Field(1_000, description="Live connections of one gateway.")
    allowed_origins: tuple[str, ...] = Field(
        (), description="Origins of pages other than the gateway's own that may connect (JSON)."
    )

    # Observability
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: str = Field("json", pattern="^(json|console)$", description="json or console.")

    @model_validator(mode="after")
    def _one_key_of_authentication(self) -> "Settings":
        if self.auth_secret is not None and self.auth_public_key is not None:
            raise ValueError("set VITALSTREAM_AUTH_SECRET or VITALSTREAM_AUTH_PUBLIC_KEY, not both")
        return self

    def topic(self, name: str) -> str:
        """Return the full name of a topic or consumer group of this deployment."""
        return self.topic_prefix + name

    @cached_property
    def bootstrap(self) -> str:
        """``host:port`` of the Kafka broker in use, embedded or not."""
        return self.kafka_bootstrap or f"{self.host}:{self.kafka_port + self.port_offset}"

    @cached_property
    def clickhouse(self) -> str:
        """Base URL of the ClickHouse HTTP interface in use, embedded or not."""
        port = self.clickhouse_port + self.port_offset
        return self.clickhouse_url or f"http://{self.host}:{port}"

    @cached_property
    def gateway(self) -> str:
        """Base URL of this instance's gateway."""
        return f"http://{self.host}:{self.port + self.port_offset}"

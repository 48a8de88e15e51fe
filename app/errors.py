"""Every exception that Vitalstream raises on purpose.

::

    VitalstreamError
    ├── ConfigurationError          a setting is missing, malformed or contradictory
    ├── MigrationError              the database's history differs from the program's
    ├── StartupError                a process of the product could not be started
    │   ├── PortInUseError          somebody else listens there
    │   ├── DataDirectoryInUseError another instance owns the data directory
    │   └── ServerFailedError       an embedded server died; carries its own last lines
    ├── DataError                   the input is wrong, and will be wrong again
    │   ├── DecodeError             bytes that are not the record that they claim to be
    │   ├── UnknownSchemaError      an Avro schema id that no registry knows
    │   ├── ValidationError         decodes, but breaks the data contract
    │   ├── QueryError              ClickHouse refused a statement; carries its code
    │   ├── DeadLetterError         there is no dead letter at that place
    │   └── RecordingError          a file to replay cannot be read; names file and line
    ├── UnavailableError            a server is away; the same call may succeed later
    │   ├── KafkaUnavailableError
    │   ├── ClickHouseUnavailableError
    │   └── RegistryUnavailableError
    ├── AuthenticationError         no token, or one that does not hold
    ├── PermissionDeniedError       the token does not cover what was asked
    ├── OverloadedError             a bound on memory was reached; try again
    └── InvariantError              a promise would be broken: stop without acknowledging
        ├── OffsetGapError          records of a source partition were skipped
        ├── DeadRatioError          too many uploads go to the dead letters
        └── StalledError            records wait, and nothing is acknowledged any more

Routing reads :attr:`VitalstreamError.retriable`: a retriable failure goes to the retry tiers,
any other to the dead-letter topic. An :class:`InvariantError` does neither: it ends the process.
"""

from typing import ClassVar


class VitalstreamError(Exception):
    """Root of the tree. ``retriable`` says whether the same work may succeed later."""

    retriable: ClassVar[bool] = False


class ConfigurationError(VitalstreamError):
    """A setting is missing, malformed or contradictory; the message names its key."""


class MigrationError(VitalstreamError):
    """The migrations of a database are not those of the program; nothing was changed."""


class StartupError(VitalstreamError):
    """A process of the product could not be started."""


class PortInUseError(StartupError):
    """Another program listens on a port that was asked for."""


class DataDirectoryInUseError(StartupError):
    """Another instance owns the data directory."""


class ServerFailedError(StartupError):
    """An embedded server ended or never became ready; the message carries its last lines."""


class DataError(VitalstreamError):
    """The input is wrong and will be wrong again."""


class DecodeError(DataError):
    """Bytes that are not the record they claim to be."""


class UnknownSchemaError(DataError):
    """An Avro schema id that neither the project nor the registry knows."""


class ValidationError(DataError):
    """The record decodes, but breaks the data contract."""


class QueryError(DataError):
    """ClickHouse refused or failed a statement.

    Parameters
    ----------
    code
        ClickHouse's error code, such as 60.
    name
        Its name, such as ``UNKNOWN_TABLE``.
    message
        What is wrong, without code and name.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")
        self.code = code
        self.name = name
        self.message = message


class DeadLetterError(DataError):
    """There is no dead letter at the place that was named."""


class RecordingError(DataError):
    """A file to replay cannot be read, or holds a malformed line; names file and line."""


class UnavailableError(VitalstreamError):
    """A server that is needed is away; the same call may succeed later."""

    retriable: ClassVar[bool] = True


class KafkaUnavailableError(UnavailableError):
    """The Kafka broker did not acknowledge in time."""


class ClickHouseUnavailableError(UnavailableError):
    """The ClickHouse server did not answer, or answered that it cannot now."""


class RegistryUnavailableError(UnavailableError):
    """The schema registry did not answer."""


class AuthenticationError(VitalstreamError):
    """There is no token, or it is malformed, expired, or signed by somebody else."""


class PermissionDeniedError(VitalstreamError):
    """The token holds, but its role or its users do not cover what was asked."""


class OverloadedError(VitalstreamError):
    """A bound on memory was reached; nothing was taken, try again."""

    retriable: ClassVar[bool] = True


class InvariantError(VitalstreamError):
    """A promise would be broken by going on; the process ends and acknowledges nothing."""


class OffsetGapError(InvariantError):
    """Records of a source partition were skipped between two that were delivered."""


class DeadRatioError(InvariantError):
    """Too large a part of the uploads goes to the dead letters: draining the topic helps nobody."""


class StalledError(InvariantError):
    """Records wait, and the process has acknowledged nothing for too long."""

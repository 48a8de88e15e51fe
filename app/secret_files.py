"""Secrets that an instance makes for itself: ``DATA_DIR/secrets/NAME``, mode 0600, made once."""

import contextlib
import os
import secrets
from pathlib import Path

from app.errors import ConfigurationError

AUTH_KEY = "auth.key"
CLICKHOUSE_WRITER_PASSWORD = "clickhouse-writer.password"  # noqa: S105  (a file's name)

_BYTES = 32


def ensure_secret(data_dir: Path, name: str) -> str:
    """Return the secret ``name`` of this data directory; make it on first use.

    Several processes may call it at the same moment: all get the same secret.

    Parameters
    ----------
    data_dir
        The instance's data directory; made when missing.
    name
        The secret's file name, such as :data:`AUTH_KEY`.

    Returns
    -------
    str
        43 URL-safe characters that carry 256 random bits.

    Raises
    ------
    ConfigurationError
        When the file exists but is empty or cannot be read or written.
    """
    directory = data_dir / "secrets"
    path = directory / name
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"the secret {path} cannot be used: {error.strerror}") from error
    if not secret:
        raise ConfigurationError(f"the secret {path} is empty; remove the file to make a new one")
    return secret


def _create(path: Path) -> None:
    """Put a whole new secret in place; whoever comes second keeps the first one's."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()

"""Uploads as they are sent: read from JSON or Avro, and checked as a whole.

What is wrong with a single sample is no matter of this module: see ``validation``.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import orjson

from app.errors import DecodeError, UnknownSchemaError
from app.gateway.problems import Problem
from app.settings import Settings
from schemas.codec import Codec
from schemas.columns import F64, I64, Float64, Int64, unpack

DEVICE_LENGTH: Final = 64
SOURCE_LENGTH: Final = 64
ERRORS_SHOWN: Final = 20
"""Most errors that one answer lists."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UPLOAD_KEYS: Final = frozenset({"upload_id", "user_id", "device_id", "source", "series"})
_SERIES_KEYS: Final = frozenset({"metric", "unit", "times", "values"})
_SERIES_TYPES: Final = {(str, str, list, list), (str, str, np.ndarray, np.ndarray)}

Times = Sequence[object] | Int64
Values = Sequence[object] | Float64
Errors = list[tuple[str, str]]


class SeriesDocument(NamedTuple):
    """A series as it was sent: lists from JSON, arrays from Avro."""

    metric: str
    unit: str
    times: Times
    values: Values


class UploadDocument(NamedTuple):
    """An upload as it was sent; the ids are well-formed, UUIDs in lower case.

    ``samples`` is how many it claims: the longer of times and values of each series.
    """

    upload_id: str
    user_id: str
    device_id: str
    source: str
    series: tuple[SeriesDocument, ...]
    samples: int


def uuid_of(text: object) -> UUID | None:
    """Return the UUID that a text writes in the usual form of 36 characters, or None."""
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of a UUID in the usual form, or of several that follow each other.

    It is many times faster than making a ``UUID``.
    """
    return bytes.fromhex(text.replace("-", ""))


def parse_json(data: bytes | str) -> object:
    """Read JSON.

    Raises
    ------
    Problem
        400 when it is none; numbers beyond the range of a double are no JSON here.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem("malformed", f"Not valid JSON at {place}: {error.msg}.") from error


def upload_of_json(document: object, settings: Settings) -> UploadDocument:
    """Check the structure of an upload that was read from JSON.

    Raises
    ------
    Problem
        422 with a pointer to each thing that is wrong, 413 when it has too many series or samples.
    """
    return _upload(document, settings)


def upload_of_avro(data: bytes, codec: Codec, settings: Settings) -> UploadDocument:
    """Read an upload in the wire format, of schema ``upload``.

    Raises
    ------
    Problem
        400 when the bytes are none, 422 and 413 as for JSON.
    """
    try:
        record = codec.decode("upload", data)
        for series in record["series"]:
            series["times"] = unpack(series["times"], I64, "times")
            series["values"] = unpack(series["values"], F64, "values")
    except (DecodeError, UnknownSchemaError) as error:
        raise Problem("malformed", f"Not an Avro upload: {error}.") from error
    return _upload(record, settings)


def _upload(document: object, settings: Settings) -> UploadDocument:
    if not isinstance(document, dict):
        raise Problem("invalid", "An upload is an object.", errors=[("", "is no object")])
    get: Callable[..., Any] = document.get
    upload_id, user_id = get("upload_id"), get("user_id")
    device_id, source = get("device_id"), get("source", "unknown")
    errors: Errors = []
    if not (
        document.keys() <= _UPLOAD_KEYS
        and _is_uuid(upload_id)
        and _is_uuid(user_id)
        and type(device_id) is str
        and len(device_id) <= DEVICE_LENGTH
        and _is_name(device_id)
        and type(source) is str
        and len(source) <= SOURCE_LENGTH
        and _is_name(source)
    ):
        _explain_upload(document, errors)
    series = _all_series(get("series"), settings, errors)
    if errors:
        raise Problem("invalid", "The upload is not valid.", errors=errors[:ERRORS_SHOWN])
    samples = sum([max(len(one.times), len(one.values)) for one in series])
    if samples > settings.max_samples_per_upload:
        raise Problem("too-large", f"An upload may have {settings.max_samples_per_upload} samples.")
    return UploadDocument(upload_id.lower(), user_id.lower(), device_id, source, series, samples)


def _is_uuid(found: object) -> bool:
    return type(found) is str and _UUID.fullmatch(found) is not None


@lru_cache(maxsize=10_000)
def _is_name(text: str) -> bool:
    return bool(text) and text.isprintable() and text.strip() == text


def _explain_upload(document: dict[str, Any], errors: Errors) -> None:
    """Add what is wrong with the members of an upload, its series aside."""
    _known(document, _UPLOAD_KEYS, "", errors)
    for key in ("upload_id", "user_id"):
        if not _is_uuid(document.get(key)):
            errors.append((f"/{key}", "must be a UUID in the form of 36 characters"))
    names = ("device_id", None, DEVICE_LENGTH), ("source", "unknown", SOURCE_LENGTH)
    for key, default, longest in names:
        found = document.get(key, default)
        if not isinstance(found, str) or len(found) > longest or not _is_name(found):
            errors.append((f"/{key}", f"must be 1 to {longest} printable characters"))


def _all_series(found: object, settings: Settings, errors: Errors) -> tuple[SeriesDocument, ...]:
    if not isinstance(found, list) or not found:
        errors.append(("/series", "must be an array of at least one series"))
        return ()
    if len(found) > settings.max_series_per_upload:
        raise Problem("too-large", f"An upload may have {settings.max_series_per_upload} series.")
    return tuple([_series(one, n, errors) for n, one in enumerate(found)])


def _series(found: object, number: int, errors: Errors) -> SeriesDocument:
    if not isinstance(found, dict):
        errors.append((f"/series/{number}", "must be an object"))
        return SeriesDocument("", "", (), ())
    get = found.get
    series = SeriesDocument(get("metric", ""), get("unit", ""), get("times", ()), get("values", ()))
    if found.keys() != _SERIES_KEYS or tuple(map(type, series)) not in _SERIES_TYPES:
        _explain_series(found, f"/series/{number}", errors)
    return series


def _explain_series(found: dict[str, Any], pointer: str, errors: Errors) -> None:
    """Add what is wrong with a series."""
    _known(found, _SERIES_KEYS, pointer, errors)
    for key in ("metric", "unit"):
        if not isinstance(found.get(key), str):
            errors.append((f"{pointer}/{key}", "must be a string"))
    for key in ("times", "values"):
        if not isinstance(found.get(key), list | np.ndarray):
            errors.append((f"{pointer}/{key}", "must be an array"))


def _known(found: dict[str, Any], keys: frozenset[str], pointer: str, errors: Errors) -> None:
    if found.keys() <= keys:
        return
    for key in found.keys() - keys:
        name = key[:DEVICE_LENGTH].replace("~", "~0").replace("/", "~1")
        errors.append((f"{pointer}/{name}", "is not a member of this object"))

"""Uploads: stretches of a track as the bodies that devices send."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid5

import numpy as np
import orjson
from backports import zstd

from app.replay.pacing import Track

_COMPRESSED_FROM = 1_024
"""Bodies of fewer bytes are not worth compressing."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One request, ready to be sent and sent again.

    Attributes
    ----------
    upload_id
        The same whenever the same samples of a track are sent.
    user_id
        Whose samples they are.
    body
        JSON, compressed as ``encoding`` says.
    encoding
        ``zstd`` or ``identity``.
    samples
        How many samples it carries.
    """

    upload_id: UUID
    user_id: str
    body: bytes
    encoding: str
    samples: int


def uploads_of(track: Track, start: int, end: int) -> Iterator[Upload]:
    """Yield the uploads of a stretch: one for each device and source in it.

    Parameters
    ----------
    track
        Whose samples.
    start, end
        Positions within one loop, such as :meth:`~app.replay.pacing.Track.stretch_end` gives;
        ``start`` < ``end``.
    """
    recording = track.recording
    loop, first = divmod(start, len(recording))
    rows = slice(first, first + end - start)
    time_ms = recording.time_ms[rows] + track.loop_shift_ms(loop)
    metric, value, device = recording.metric[rows], recording.value[rows], recording.device[rows]
    user_id = str(recording.person)
    for code in np.unique(device):
        own = device == code
        upload_id = uuid5(track.namespace, f"{start}/{end}/{code}/{time_ms[0]}")
        series = []
        for kind in np.unique(metric[own]):
            chosen = own & (metric == kind)
            series.append(
                {
                    "metric": recording.metrics[kind],
                    "unit": recording.units[kind],
                    "times": time_ms[chosen],
                    "values": value[chosen],
                }
            )
        document = {
            "upload_id": str(upload_id),
            "user_id": user_id,
            "device_id": recording.devices[code],
            "source": recording.sources[code],
            "series": series,
        }
        body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        large = len(body) >= _COMPRESSED_FROM
        yield Upload(
            upload_id=upload_id,
            user_id=user_id,
            body=zstd.compress(body, 1) if large else body,
            encoding="zstd" if large else "identity",
            samples=int(np.count_nonzero(own)),
        )

"""From an upload that was read to its acknowledgement; the same for HTTP and the stream."""

import asyncio
from typing import Any, Final

from app.errors import KafkaUnavailableError
from app.gateway import rejections
from app.gateway.clock import Clock
from app.gateway.coalescer import Coalescer
from app.gateway.documents import UploadDocument, uuid_bytes
from app.gateway.problems import Problem
from app.gateway.statuses import Outcome, StatusCache, rfc3339
from app.gateway.validation import Bounds, CheckedUpload, check
from app.security import Claims
from app.settings import Settings

_THREAD_SAMPLES: Final = 5_000
"""Uploads with more samples are checked in a thread, so that others do not wait for them."""


class Intake:
    """Takes uploads in.

    An upload id is an idempotency key: sent again after it was acknowledged, the upload is not
    written again, and the answer is that of the first time. Sent again while it is still under
    way, it waits for the same acknowledgement.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        coalescer: Coalescer,
        cache: StatusCache,
        clock: Clock,
    ) -> None:
        self._bounds = Bounds.of(settings)
        self._coalescer = coalescer
        self._cache = cache
        self._clock = clock
        self._under_way: dict[str, tuple[str, asyncio.Future[CheckedUpload]]] = {}

    async def take(self, document: UploadDocument, claims: Claims) -> dict[str, Any]:
        """Take an upload in; return the body of the 202 once the broker has acknowledged it.

        Raises
        ------
        PermissionDeniedError
            If the token does not cover the user.
        Problem
            409 if the upload id was used for another user.
        OverloadedError, KafkaUnavailableError
            See :meth:`app.gateway.coalescer.Coalescer.submit`.
        """
        claims.require_user(document.user_id)
        known = self._cache.get(uuid_bytes(document.upload_id))
        if known is not None:
            _same_user(known.user_id, document)
            return await self._answer_again(document, known)
        under_way = self._under_way.get(document.upload_id)
        if under_way is not None:
            _same_user(under_way[0], document)
            return _answer(await asyncio.shield(under_way[1]), resent=True)
        result: asyncio.Future[CheckedUpload] = asyncio.get_running_loop().create_future()
        self._under_way[document.upload_id] = document.user_id, result
        try:
            received_ms = self._clock.now_ms()
            if document.samples > _THREAD_SAMPLES:
                upload = await asyncio.to_thread(check, document, received_ms, self._bounds)
            else:
                upload = check(document, received_ms, self._bounds)
            await self._coalescer.submit(upload)
        except BaseException as error:
            told = error if isinstance(error, Exception) else KafkaUnavailableError("interrupted")
            result.set_exception(told)
            result.exception()  # there may be nobody else who waits for it
            raise
        finally:
            del self._under_way[document.upload_id]
        result.set_result(upload)
        return _answer(upload)

    async def _answer_again(self, document: UploadDocument, known: Outcome) -> dict[str, Any]:
        """Answer as the first time: checking is a function of the upload and its receipt."""
        upload = await asyncio.to_thread(check, document, known.received_ms, self._bounds)
        return _answer(upload, resent=True) | {
            "accepted": known.accepted,
            "repeated": known.repeated,
        }


def _same_user(user_id: str, document: UploadDocument) -> None:
    if user_id != document.user_id:
        raise Problem(
            "conflict",
            "The upload id was used for another user.",
            errors=[("/upload_id", "must be new")],
        )


def _answer(upload: CheckedUpload, *, resent: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "upload_id": upload.document.upload_id,
        "status": "accepted",
        "received_at": rfc3339(upload.received_ms),
        "accepted": upload.accepted,
        "repeated": upload.repeated,
        "rejected": rejections.entries(upload) if upload.rejected else [],
    }
    if resent:
        answer["resent"] = True
    return answer

"""``GET`` and ``PUT /v1/users/{user_id}/settings``."""

from typing import Final

from aiohttp import web

from app.gateway.access import admit, claims_of
from app.gateway.bodies import body_of
from app.gateway.documents import parse_json, uuid_of
from app.gateway.limits import Share
from app.gateway.problems import Problem, unavailable
from app.gateway.services import SERVICES
from app.gateway.uploads import JSON, json_response

_MAX_BYTES: Final = 16 << 10


async def get_settings(request: web.Request) -> web.Response:
    """Return a person's settings."""
    user_id = _authorised(request)
    return json_response(request.app[SERVICES].people.document(user_id))


async def put_settings(request: web.Request) -> web.Response:
    """Change a person's settings from now on."""
    services = request.app[SERVICES]
    user_id = _authorised(request)
    if request.content_type != JSON:
        raise Problem("unsupported-media-type", f"Settings are {JSON}.")
    with Share(services.bodies) as share:
        document = parse_json(await body_of(request, _MAX_BYTES, share))
    if not isinstance(document, dict) or not isinstance(document.get("time_zone"), str):
        raise Problem(
            "invalid", "The settings are not valid.", errors=[("/time_zone", "must be a string")]
        )
    unknown = document.keys() - {"time_zone"}
    if unknown:
        raise Problem(
            "invalid",
            "The settings are not valid.",
            errors=[("", "only time_zone can be set")],
        )
    services.broker.require()
    return json_response(await services.people.set_zone(user_id, document["time_zone"]))


def _authorised(request: web.Request) -> str:
    services = request.app[SERVICES]
    claims = claims_of(request, services.verifier)
    admit(claims, services)
    claims.require_role("user", "admin")
    user_id = uuid_of(request.match_info["user_id"])
    if user_id is None:
        raise Problem("not-found", "A user id is a UUID.")
    claims.require_user(str(user_id))
    if not services.people_tail.caught_up.is_set():
        raise unavailable("The settings are still being read from Kafka.")
    return str(user_id)

"""Static files: the pages' own and BokehJS out of the installed wheel, cached for ever by name."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import bokeh
from aiohttp import web

STATIC: Final = Path(__file__).parent / "static"
_BOKEH: Final = Path(bokeh.__file__).parent / "server" / "static" / "js"
_BOKEH_FILES: Final = ("bokeh.min.js", "bokeh-api.min.js")
_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_SMALL: Final = 512


@dataclass(frozen=True)
class Asset:
    """One file and what is sent of it."""

    path: Path

    @cached_property
    def body(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()

    @cached_property
    def compressed(self) -> bytes | None:
        """The same, gzipped; None when that is not worth it."""
        if len(self.body) < _SMALL:
            return None
        return gzip.compress(self.body, 6, mtime=0)

    @cached_property
    def etag(self) -> str:
        """A name of the content."""
        return hashlib.blake2s(self.body, digest_size=8).hexdigest()

    @property
    def content_type(self) -> str:
        """Media type."""
        return _TYPES[self.path.suffix]


@dataclass(frozen=True)
class Assets:
    """All files of one kind under one version, which stands in their addresses.

    Modules import each other by relative addresses, so one version names all of them: a change of
    any file gives all a new address, and every address may be cached for ever.
    """

    files: dict[str, Asset]

    @cached_property
    def version(self) -> str:
        """A name of all the contents."""
        text = ";".join(f"{name}={asset.etag}" for name, asset in sorted(self.files.items()))
        return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``GET …/{version}/{name}``; another version gets today's file, not to be cached."""
        asset = self.files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        headers = {
            "ETag": f'"{asset.etag}"',
            "Cache-Control": _FOR_EVER if current else "no-cache",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if any(tag.value == asset.etag for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = asset.body
        if asset.compressed and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = asset.compressed
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=body, content_type=asset.content_type, charset="utf-8", headers=headers
        )


@cache
def own_assets() -> Assets:
    """Return the pages' modules, style sheets and icon."""
    paths = (path for path in STATIC.iterdir() if path.suffix in _TYPES)
    return Assets({path.name: Asset(path) for path in paths})


@cache
def bokeh_assets() -> Assets:
    """Return BokehJS as the installed wheel carries it."""
    return Assets({name: Asset(_BOKEH / name) for name in _BOKEH_FILES})

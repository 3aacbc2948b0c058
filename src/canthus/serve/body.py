"""The picture in a request: its body, or the file in its form. In memory, and within the limits of the server."""

import asyncio
import hmac
from collections.abc import AsyncGenerator

from starlette.requests import ClientDisconnect, HTTPConnection, Request

from canthus.serve.form import FORM, file_in
from canthus.serve.refusal import CLOSED, Refusal
from canthus.serve.settings import Settings

PLAIN = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types of bodies, besides image/..., that may be a picture: those of clients that were told nothing."""
LINGER = 2.0
"""Time for which the rest of a body that is too large is still read, so that its client reads the answer, seconds."""


def check_token(connection: HTTPConnection, settings: Settings) -> None:
    """Refuse a request without the token of the server.

    Raises:
        Refusal: 401; the token is missing or wrong.
    """
    if settings.token is None:
        return
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), settings.token.encode())
    if not right or scheme.lower() != "bearer":
        message = "this server asks for a token: send the header Authorization: Bearer TOKEN"
        raise Refusal(401, message, {"WWW-Authenticate": "Bearer", **CLOSED})


async def picture_of(request: Request, settings: Settings) -> bytes:
    """The picture in a request, as the content of an image file.

    Raises:
        Refusal: 408, it comes too slowly; 413, it is too large; 415, its type is not that of a picture; 422, there is
            none, or the form is damaged.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM and kind not in PLAIN and not kind.startswith("image/"):
        raise Refusal(415, f"{kind} is no picture; send the bytes of an image file, or a form with one", CLOSED)
    await _check_length(request, settings)
    try:
        async with asyncio.timeout(settings.timeout):
            picture = b"".join([part async for part in _limited(request, settings)])
    except TimeoutError:
        raise Refusal(408, f"the request did not arrive within {settings.timeout:g} seconds", CLOSED) from None
    except ClientDisconnect as error:
        raise Refusal(422, "the connection ended before the picture had arrived") from error
    if kind == FORM:
        picture = await asyncio.to_thread(file_in, picture, request.headers["content-type"])
    if not picture:
        raise Refusal(422, "there is no picture in the request; send the bytes of an image file")
    return picture


async def _check_length(request: Request, settings: Settings) -> None:
    """Refuse a body that is too large by its header."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > settings.max_bytes:
        if "expect" not in request.headers:  # a client that asks first has not begun to send
            await _linger(request.stream())
        raise _too_large(settings)


def _too_large(settings: Settings) -> Refusal:
    return Refusal(413, f"the request is larger than {settings.max_mb:g} MB; shrink the picture", CLOSED)


async def _linger(stream: AsyncGenerator[bytes, None]) -> None:
    """Read on for a moment: a client that is still sending would lose the answer if the connection were closed."""
    try:
        async with asyncio.timeout(LINGER):
            async for _ in stream:
                pass
    except (TimeoutError, ClientDisconnect):
        pass


async def _limited(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """The parts of a body, as they arrive."""
    size, stream = 0, request.stream()
    async for part in stream:
        size += len(part)
        if size > settings.max_bytes:
            await _linger(stream)
            raise _too_large(settings)
        yield part

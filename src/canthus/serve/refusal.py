"""Requests that are refused: the status, and the JSON {"error": a word, "message": what is wrong and the remedy}."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from canthus.errors import CanthusError, ExtraMissingError, KindError, ReadError, SizeError

WORDS = {
    400: "bad_request",
    401: "unauthorised",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported",
    422: "unreadable",
    429: "too_many_requests",
    500: "failed",
    503: "busy",
}
"""The word of each status in the JSON of a refusal."""
AGAIN = {"Retry-After": "1"}
"""Header of a refusal that a later request may not meet."""
CLOSED = {"Connection": "close"}
"""Header of a refusal of a request that has not been read to its end."""


class Refusal(Exception):
    """A request that is refused."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Refuse a request.

        Args:
            status: Status of HTTP, a key of `WORDS`.
            message: What is wrong, and the remedy.
            headers: Further headers of the answer.
        """
        super().__init__(message)
        self.status, self.headers = status, headers

    @property
    def content(self) -> dict[str, str]:
        """The refusal as JSON."""
        return {"error": WORDS[self.status], "message": str(self)}

    def response(self) -> JSONResponse:
        """The answer to the request."""
        return JSONResponse(self.content, self.status, self.headers)


def refusal_of(error: CanthusError) -> Refusal:
    """The refusal of a picture that cannot be processed."""
    kinds = {SizeError: 413, KindError: 415, ExtraMissingError: 415, ReadError: 422}
    return Refusal(next((status for kind, status in kinds.items() if isinstance(error, kind)), 422), str(error))


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused."""
    assert isinstance(error, Refusal)
    return error.response()


async def unknown(request: Request, error: Exception) -> Response:
    """The answer to a request for an address, or by a method, that there is not."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}; /openapi.json lists what there is"
    content = {"error": WORDS.get(error.status_code, "refused"), "message": message}
    return JSONResponse(content, error.status_code, error.headers)


async def failed(request: Request, error: Exception) -> Response:
    """The answer to a request at which the server itself failed; its log holds the reason."""
    return Refusal(500, "the server failed at this request; its log says why").response()

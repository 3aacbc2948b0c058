"""The server as an application of FastAPI: its addresses, and what the requests to one process share."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from canthus.formats.faces import faces_in
from canthus.formats.json import text_of
from canthus.serve.body import check_token, picture_of
from canthus.serve.clients import Clients
from canthus.serve.describe import page_of
from canthus.serve.engine import Engine, Found
from canthus.serve.joiner import Joiner
from canthus.serve.meters import Measured, Meters
from canthus.serve.refusal import Refusal, failed, refused, unknown
from canthus.serve.schema import PICTURE, REFUSALS, FacesForm, HealthForm
from canthus.serve.settings import Settings
from canthus.serve.streams import Streams
from canthus.version import __version__

FACES, TRACK, HEALTH, METRICS, DOCS = "/v1/faces", "/v1/track", "/health", "/metrics", "/docs"
WELCOME = f"canthus {__version__}: POST a picture to {FACES}; {DOCS} and /openapi.json describe the interface.\n"
EXAMPLES = {
    FACES: "curl --data-binary @portrait.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/v1/faces\n"
    "curl -F image=@portrait.jpg http://127.0.0.1:8000/v1/faces",
    METRICS: "curl http://127.0.0.1:8000/metrics",
}
STREAMED = (
    f"Faces in pictures. {TRACK} is a WebSocket: send each frame of a video as one binary message (the bytes of an "
    "image file); for each there is one answer, a line of a .jsonl file of tracks with the width and height of the "
    "frame. ?rate=25 gives the frames per second, 0.01 to 1000; without it, the time of a frame is that of its arrival."
)
JSON = "application/json"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""Headers with which browsers let a page use several threads."""


class Server:
    """What the requests to a server process share."""

    def __init__(self, settings: Settings) -> None:
        """Load the models.

        Raises:
            CanthusError: a model or the device cannot be used.
        """
        self.settings, self.engine = settings, Engine(settings)
        self.clients = Clients(settings.max_per_client)
        self.joiner = Joiner(self._find, settings, lambda size: self.meters.batches.observe(size))
        self.meters = Meters(lambda: self.joiner.waiting)
        self.streams = Streams(self.engine, self._run, settings, self.clients, self.meters)
        self._thread = ThreadPoolExecutor(1, "canthus-engine")

    async def faces(self, request: Request) -> str:
        """The JSON for the picture in a request.

        Raises:
            Refusal: the request is refused.
        """
        check_token(request, self.settings)
        with self.clients.admitted(request):
            with self.joiner.arriving():
                picture = await picture_of(request, self.settings)
            found = await self.joiner.found(picture)
        self.meters.faces.inc(len(found.faces))
        return text_of(faces_in("", found.size, found.faces))

    async def run(self) -> None:
        """Work until cancelled."""
        await self.joiner.run()

    def close(self) -> None:
        """End the thread of the engine when it has done its work."""
        self._thread.shutdown()

    async def _find(self, pictures: Sequence[bytes]) -> list[Found | Exception]:
        self.meters.pictures.inc(len(pictures))
        found: list[Found | Exception] = await self._run(self.engine.find, pictures)
        return found

    async def _run(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


class Page(StaticFiles):
    """The files of a web page."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """One file."""
        response = super().file_response(*arguments, **options)
        response.headers.update(ISOLATED)
        return response


def make_app(settings: Settings) -> FastAPI:
    """The application.

    Args:
        settings: Models and limits.

    Raises:
        CanthusError: a model or the device cannot be used.
    """
    server = Server(settings)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(server.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.close)

    app = FastAPI(
        title="canthus", version=__version__, description=STREAMED, lifespan=running, docs_url=None, redoc_url=None
    )
    app.add_middleware(Measured, server.meters, (FACES, HEALTH, METRICS, DOCS, "/"))
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(Exception, failed)
    _route(app, server)
    if settings.page is not None:
        app.mount("/", Page(directory=settings.page, html=True))
    else:
        app.add_api_route("/", lambda: PlainTextResponse(WELCOME), include_in_schema=False)
    return app


def _route(app: FastAPI, server: Server) -> None:
    """Add the addresses of the interface."""

    @app.post(FACES, response_model=FacesForm, responses=REFUSALS, openapi_extra=PICTURE)
    async def faces(request: Request) -> Response:
        """Find the faces in a picture: the bytes of an image file as the body, or one file in a form."""
        return Response(await server.faces(request), media_type=JSON)

    @app.get(HEALTH)
    async def health() -> HealthForm:
        """Tell that the server answers, and with which model."""
        card = server.engine.aligner.card
        scheme, waiting = server.engine.aligner.scheme.name, server.joiner.waiting
        return HealthForm(status="ok", canthus=__version__, model=card.name, scheme=scheme, waiting=waiting)

    @app.get(METRICS, response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Tell what this process has counted, for Prometheus; asks for the token, too."""
        check_token(request, server.settings)
        return Response(server.meters.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get(DOCS, include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page_of(app.openapi(), EXAMPLES))

    @app.websocket(TRACK)
    async def track(socket: WebSocket, rate: str | None = None) -> None:
        await server.streams.serve(socket, rate)


async def _wrong(request: Request, error: Exception) -> Response:
    """The answer to a request with a wrong parameter."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return Refusal(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}").response()

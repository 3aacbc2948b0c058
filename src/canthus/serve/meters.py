"""What a server counts, for Prometheus, and the part of the application that counts requests."""

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
PICTURES = (1, 2, 4, 8, 16, 32, 64)
OTHER = "other"
"""Address in the counts of every request that is for none of the addresses of the server."""


class Meters:
    """The counts of one server process."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Begin to count.

        Args:
            waiting: Tells how many pictures wait.
        """
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        labels = ("address", "status")
        self.requests = Counter("canthus_requests", "Requests that were answered", labels, registry=registry)
        self.seconds = Histogram(
            "canthus_request_seconds",
            "Time from the headers of a request to its answer",
            ("address",),
            buckets=SECONDS,
            registry=registry,
        )
        self.pictures = Counter("canthus_pictures", "Pictures in which faces were searched", registry=registry)
        self.faces = Counter("canthus_faces", "Faces in the answers", registry=registry)
        self.frames = Counter("canthus_frames", "Frames of streams", registry=registry)
        self.batches = Histogram(
            "canthus_batch_pictures",
            "Pictures that went through the networks together",
            buckets=PICTURES,
            registry=registry,
        )
        self.streams = Gauge("canthus_streams", "Streams that are open", registry=registry)
        Gauge("canthus_waiting_pictures", "Pictures that wait", registry=registry).set_function(waiting)

    def text(self) -> bytes:
        """The counts in the text format of Prometheus."""
        return generate_latest(self._registry)


class Measured:
    """Counts requests and their times."""

    def __init__(self, app: ASGIApp, meters: Meters, addresses: Collection[str]) -> None:
        """Wrap an application.

        Args:
            app: The application.
            meters: The counts.
            addresses: Addresses that are counted one by one.
        """
        self._app, self._meters, self._addresses = app, meters, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, address = time.perf_counter(), scope["path"] if scope["path"] in self._addresses else OTHER

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._meters.requests.labels(address, message["status"]).inc()
                self._meters.seconds.labels(address).observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, counted)

"""Runs the server: its processes and sockets are those of uvicorn."""

import signal
import socket
import sys
import warnings
from functools import partial

import cv2
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from canthus.errors import CanthusError, InputError
from canthus.serve.app import make_app
from canthus.serve.engine import Engine
from canthus.serve.guard import HEADERS, IDLE, Messages, Requests
from canthus.serve.settings import Settings

GRACE = 2
"""Time beyond `Settings.timeout` after which requests that are open when the server ends are given up, seconds."""
BEGIN = 60
"""Time after which a process that gives no sign of life, as before it has loaded its models, is replaced, seconds."""
PING = 20
"""Seconds from one sign of life of a stream to the next, and until one that has not come ends it."""


def application(settings: Settings) -> FastAPI:
    """The application of a process of its own.

    Raises:
        CanthusError: a model or the device cannot be used.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged EXIF data, which is left out
    cv2.setNumThreads(settings.threads or -1)
    return make_app(settings)


def config_of(settings: Settings, workers: int = 1) -> uvicorn.Config:
    """The configuration of uvicorn."""
    return uvicorn.Config(
        partial(application, settings),
        factory=True,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Requests,
        h11_max_incomplete_event_size=HEADERS,
        timeout_keep_alive=IDLE,
        timeout_worker_healthcheck=BEGIN,
        timeout_graceful_shutdown=round(settings.timeout) + GRACE,
        ws=Messages,
        ws_max_size=settings.max_bytes,
        ws_ping_interval=PING,
        ws_ping_timeout=PING,
        ws_per_message_deflate=False,
    )


def listen(settings: Settings, host: str, port: int, workers: int = 1) -> None:
    """Answer requests until SIGINT or SIGTERM comes, then those that are open.

    Args:
        settings: Models and limits.
        host: Address to listen on.
        port: Port to listen on; 0 = any free one.
        workers: Number of processes, each with its own models, queue, limits and counts.

    Raises:
        CanthusError: a model or the device cannot be used, or a process could not begin.
        InputError: the server cannot listen there.
        SystemExit: a signal came; 128 + its number.
    """
    if workers > 1:
        Engine(settings)  # a model that cannot be used is told once, before there are processes
    config = config_of(settings, workers)
    if workers == 1:
        config.load()
    with bind(host, port) as listening:
        name, at = f"[{host}]" if ":" in host else host, listening.getsockname()[1]
        print(f"canthus: listening at http://{name}:{at} (Ctrl-C ends it)", file=sys.stderr, flush=True)
        if workers == 1:
            uvicorn.Server(config).run([listening])
        else:
            _run_workers(config, listening)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    It names TCP as its protocol: asyncio sends small parts at once over such sockets alone. Over others the second part
    of an answer waits until the client acknowledges the first, about 40 ms.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 = any free one.

    Raises:
        InputError: the server cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=1024)
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise InputError(f"cannot listen at {host}, port {port}: {what}; choose another --host or --port") from error


class _Workers(Multiprocess):
    """The processes of a server; remembers the signal that ended them."""

    ended_by = 0

    def handle_int(self) -> None:
        self.ended_by = signal.SIGINT
        super().handle_int()

    def handle_term(self) -> None:
        self.ended_by = signal.SIGTERM
        super().handle_term()


def _run_workers(config: uvicorn.Config, listening: socket.socket) -> None:
    workers = _Workers(config, [listening])
    workers.run()
    if not workers.ended_by:
        raise CanthusError("a process of the server could not begin; its message is above")
    raise SystemExit(128 + workers.ended_by)

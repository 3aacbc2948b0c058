"""/v1/track: frames come in over a WebSocket, and the faces of each go out, followed by a tracker of the connection."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from canthus.errors import CanthusError
from canthus.formats.tracks.jsonl import tree_of
from canthus.formats.tracks.moment import Layout, Moment
from canthus.serve.body import check_token
from canthus.serve.clients import Clients
from canthus.serve.engine import Engine
from canthus.serve.meters import Meters
from canthus.serve.refusal import AGAIN, Refusal, refusal_of
from canthus.serve.settings import Settings
from canthus.track.tracker import Tracker

SILENT, WRONG_KIND = 1001, 1003
"""Codes with which a stream is closed: no frame came for long; a message that is no frame."""
SLOWEST, QUICKEST = 0.01, 1000.0
"""Limits of the rate of a stream, frames per second."""
PATIENCE = 60.0
"""Time after which a stream without a frame is closed, seconds."""
Run = Callable[..., Any]
"""Runs a function with arguments in the thread of the engine, and awaits its result."""


class Streams:
    """The streams of a server process."""

    def __init__(self, engine: Engine, run: Run, settings: Settings, clients: Clients, meters: Meters) -> None:
        """Begin without a stream.

        Args:
            engine: The models.
            run: Runs a method of the engine in its thread.
            settings: Limits.
            clients: What each client has open.
            meters: Counts streams, frames and faces.
        """
        self._engine, self._run, self._settings, self._clients, self._meters = engine, run, settings, clients, meters
        self._open = 0

    async def serve(self, socket: WebSocket, rate: str | None) -> None:
        """Serve one stream until its client leaves.

        Args:
            socket: A WebSocket that has not been accepted.
            rate: Text of the frames per second, refused unless within the limits; None = the time of a frame is that of
                its arrival.
        """
        try:
            check_token(socket, self._settings)
            pace = None if rate is None else _rate_of(rate)
            if self._open >= self._settings.max_streams:
                raise Refusal(503, f"{self._open} streams are open already; try again later", AGAIN)
            with self._clients.admitted(socket):
                await self._serve(socket, pace)
        except Refusal as refusal:
            await socket.send_denial_response(refusal.response())

    async def _serve(self, socket: WebSocket, rate: float | None) -> None:
        self._open += 1
        self._meters.streams.set(self._open)
        try:
            await socket.accept()
            await self._follow(socket, self._engine.tracker(), rate)
        except WebSocketDisconnect:
            pass
        finally:
            self._open -= 1
            self._meters.streams.set(self._open)

    async def _follow(self, socket: WebSocket, tracker: Tracker, rate: float | None) -> None:
        clock, number = asyncio.get_running_loop().time, 0
        begun = clock()
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await socket.receive()
            except TimeoutError:
                await socket.close(SILENT, f"no frame came for {PATIENCE:g} seconds")
                return
            if message["type"] == "websocket.disconnect":
                return
            frame = message.get("bytes")
            if frame is None:
                await socket.close(WRONG_KIND, "send each frame as one binary message: the bytes of an image file")
                return
            time = number / rate if rate is not None else clock() - begun
            await _send(socket, await self._answer(tracker, frame, number, time))
            number += 1

    async def _answer(self, tracker: Tracker, frame: bytes, number: int, time: float) -> str:
        """The JSON for one frame: a line of a .jsonl file of tracks, with the size of the frame; or a refusal."""
        self._meters.frames.inc()
        try:
            (width, height), step = await self._run(self._engine.follow, tracker, frame, time)
        except CanthusError as error:
            return json.dumps({"frame": number, "time": time, **refusal_of(error).content}, allow_nan=False)
        self._meters.faces.inc(len(step.faces))
        layout = Layout(step.faces.scheme, *step.faces.points.shape[1:])
        moment = Moment(number, step.time, step.faces, tuple(map(str, step.states)))
        return json.dumps({"width": width, "height": height, **tree_of(layout, moment)}, allow_nan=False)


def _rate_of(text: str) -> float:
    """The rate of a stream from its address, frames per second.

    Raises:
        Refusal: 422; it is not a number, or beyond the limits.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not SLOWEST <= rate <= QUICKEST:
        raise Refusal(422, f"rate: frames per second, {SLOWEST:g} to {QUICKEST:g}")
    return rate


async def _send(socket: WebSocket, text: str) -> None:
    """Send an answer.

    Raises:
        WebSocketDisconnect: the client has left, or the stream was closed because of what it sent meanwhile.
    """
    try:
        await socket.send_text(text)
    except RuntimeError as error:
        raise WebSocketDisconnect(SILENT) from error

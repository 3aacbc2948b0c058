"""Connections that do nothing, or too little, are closed, so that they cannot use up those of a server."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from canthus.serve.refusal import Refusal

HEADERS = 16_384
"""Largest size of the headers of a request, bytes."""
IDLE = 10
"""Longest time until the headers of a request are complete, and from an answer to the next request, seconds."""
OPEN = 500
"""Largest number of connections of a process; further ones get 503 and are closed."""


class Requests(H11Protocol):
    """HTTP on one connection."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > OPEN:
            transport.write(_raw(Refusal(503, "too many connections are open; try again later")))
            transport.close()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those that are no whole request so far must become one in time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._timer is None and self._idle:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that ends its side after a whole request still gets its answer; True = keep the connection."""
        if self._idle or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which no further request came, also if its client does not read the answer."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless it comes into an answer that has begun, and close the connection."""
        if self._idle or not self.cycle.response_started:
            self.transport.write(_raw(Refusal(400, f"{msg.rstrip('.').lower()}; this is an HTTP server")))
        self.transport.close()

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(IDLE, self._close_late, self.cycle)

    def _close_late(self, before: object) -> None:
        """Close the connection if no request has come since `before` was the last one; it may be a stream by now."""
        self._timer = None
        if self.cycle is before and self in self.connections:
            self.transport.abort()


class Messages(WebSocketsSansIOProtocol):
    """A WebSocket on one connection."""

    async def send(self, message: Any) -> None:
        """Send a message; the answer to a stream that is refused completes its handshake, which uvicorn forgets."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Close a connection whose client does not answer, also if it does not read."""
        super().keepalive_timeout()
        self.transport.abort()


def _raw(refusal: Refusal) -> bytes:
    """The answer to what never becomes a request."""
    body = json.dumps(refusal.content).encode()
    status = HTTPStatus(refusal.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

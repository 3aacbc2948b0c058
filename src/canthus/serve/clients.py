"""Who has requests and streams open: no client may keep all others waiting."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from canthus.serve.refusal import AGAIN, CLOSED, Refusal


class Clients:
    """Counts of what each client has open, by its address."""

    def __init__(self, most: int) -> None:
        """Begin without a client.

        Args:
            most: Largest number of requests and streams that one address may have open.
        """
        self._most = most
        self._open: Counter[str] = Counter()

    @contextmanager
    def admitted(self, connection: HTTPConnection) -> Iterator[None]:
        """Within the block, a request or stream of a client is open.

        Raises:
            Refusal: 429; the client has too many open.
        """
        client = connection.client.host if connection.client else ""
        if self._open[client] >= self._most:
            message = f"your address has {self._most} requests open already; wait for their answers"
            raise Refusal(429, message, {**AGAIN, **CLOSED})
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]

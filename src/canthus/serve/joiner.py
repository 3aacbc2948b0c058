"""Joins the pictures of all clients into batches, which go through the networks together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from canthus.errors import CanthusError
from canthus.serve.engine import Found
from canthus.serve.refusal import AGAIN, Refusal, refusal_of
from canthus.serve.settings import Settings

Work = Callable[[Sequence[bytes]], Awaitable[list[Found | Exception]]]
"""Finds the faces of several pictures."""


class Waiting(NamedTuple):
    """A picture that waits.

    Attributes:
        picture: Content of an image file.
        since: Time at which it came, by the clock of the loop, seconds.
        answer: What its request waits for.
    """

    picture: bytes
    since: float
    answer: "asyncio.Future[Found]"


class Joiner:
    """A queue of pictures.

    While a batch is worked on, the next one gathers. A picture that finds nothing being worked on is taken at once,
    or after `Settings.wait` at most where further requests are arriving. Pictures are taken in the order in which they
    came.
    """

    def __init__(self, work: Work, settings: Settings, seen: Callable[[int], None] = lambda _: None) -> None:
        """Begin without a picture; `run` must run for `found` to return.

        Args:
            work: Finds the faces of a batch.
            settings: Limits.
            seen: Called with the size of each batch.
        """
        self._work, self._settings, self._seen = work, settings, seen
        self._queue: deque[Waiting] = deque()
        self._news = asyncio.Event()
        self._arriving = 0

    @property
    def waiting(self) -> int:
        """Number of pictures that wait."""
        return len(self._queue)

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Within the block, a picture is arriving, for which others may wait.

        Raises:
            Refusal: 503; as many requests as may wait are arriving or waiting already.
        """
        if self._arriving + self.waiting >= self._settings.max_queue:
            raise Refusal(503, "too many requests wait for an answer; send it again later", AGAIN)
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    async def found(self, picture: bytes) -> Found:
        """The faces of a picture.

        Args:
            picture: Content of an image file.

        Raises:
            Refusal: the picture cannot be processed; or 503, it is not processed in time.
        """
        loop, seconds = asyncio.get_running_loop(), self._settings.timeout
        one = Waiting(picture, loop.time(), loop.create_future())
        self._queue.append(one)
        self._news.set()
        try:
            async with asyncio.timeout(seconds):
                return await one.answer
        except TimeoutError:
            raise Refusal(503, f"no answer within {seconds:g} seconds; send it again later", AGAIN) from None
        except CanthusError as error:
            raise refusal_of(error) from error
        finally:
            if one in self._queue:
                self._queue.remove(one)

    async def run(self) -> None:
        """Work on batches until cancelled."""
        while True:
            some = await self._next()
            self._seen(len(some))
            try:
                results = await self._work([one.picture for one in some])
            except Exception as error:  # of the engine itself; it concerns these requests, and not the later ones
                results = [error] * len(some)
            for one, result in zip(some, results, strict=True):
                if one.answer.done():  # its request has gone
                    continue
                if isinstance(result, Exception):
                    one.answer.set_exception(result)
                else:
                    one.answer.set_result(result)

    async def _next(self) -> list[Waiting]:
        """The next batch."""
        most, clock = self._settings.join, asyncio.get_running_loop().time
        while True:
            left = self._queue[0].since + self._settings.wait - clock() if self._queue else None
            if left is not None and (len(self._queue) >= most or left <= 0 or not self._arriving):
                return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            self._news.clear()
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                pass

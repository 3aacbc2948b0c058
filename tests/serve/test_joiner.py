import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import KindError, ReadError, SizeError
from canthus.serve.engine import Found
from canthus.serve.joiner import Joiner
from canthus.serve.refusal import Refusal
from canthus.serve.settings import Settings
from canthus.types import Faces

Work = Callable[[Sequence[bytes]], Awaitable[list[Found | Exception]]]


def found_for(picture: bytes) -> Found:
    """An answer that tells its picture by its width."""
    return Found((int(picture), 1), Faces.empty())


class Worker:
    """Answers batches and remembers them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.batches = seconds, []

    async def __call__(self, pictures: Sequence[bytes]) -> list[Found | Exception]:
        self.batches.append(list(pictures))
        await asyncio.sleep(self.seconds)
        return [found_for(picture) for picture in pictures]


def run(work: Work, then: Callable[[Joiner], Coroutine[Any, Any, Any]], **limits: Any) -> Any:
    """What `then` returns while a joiner runs."""

    async def both() -> Any:
        joiner = Joiner(work, Settings(**limits))
        task = asyncio.create_task(joiner.run())
        try:
            return await then(joiner)
        finally:
            task.cancel()

    return asyncio.run(both())


@settings(max_examples=25)
@given(
    delays=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    join=st.integers(1, 5),
    wait=st.sampled_from([0.0, 0.002]),
    work=st.sampled_from([0.0, 0.001]),
)
def test_each_picture_gets_its_own_answer_in_whatever_batches(
    delays: list[int], join: int, wait: float, work: float
) -> None:
    worker = Worker(work)

    async def one(joiner: Joiner, number: int, delay: int) -> Found:
        with joiner.arriving():
            await asyncio.sleep(delay / 4000)
        return await joiner.found(str(number).encode())

    async def all_of(joiner: Joiner) -> list[Found]:
        return await asyncio.gather(*(one(joiner, number, delay) for number, delay in enumerate(delays, 1)))

    results = run(worker, all_of, join=join, wait=wait)
    assert [result.size[0] for result in results] == list(range(1, len(delays) + 1))
    assert sorted(int(picture) for batch in worker.batches for picture in batch) == list(range(1, len(delays) + 1))
    assert max(map(len, worker.batches)) <= join


def test_what_comes_during_a_batch_goes_together_into_the_next() -> None:
    worker = Worker(0.02)

    async def some(joiner: Joiner) -> None:
        first = asyncio.create_task(joiner.found(b"1"))
        await asyncio.sleep(0.005)
        await asyncio.gather(first, *(joiner.found(b"%d" % number) for number in range(2, 9)))

    run(worker, some, join=5)
    assert worker.batches == [[b"1"], [b"2", b"3", b"4", b"5", b"6"], [b"7", b"8"]]


def test_a_picture_waits_for_one_that_is_arriving_and_for_no_other() -> None:
    worker, times = Worker(), []

    async def some(joiner: Joiner) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        await joiner.found(b"1")
        times.append(clock() - begun)
        with joiner.arriving():
            first = asyncio.create_task(joiner.found(b"2"))
            await asyncio.sleep(0.05)
        await asyncio.gather(first, joiner.found(b"3"))
        with joiner.arriving():  # one that never comes
            begun = clock()
            await joiner.found(b"4")
            times.append(clock() - begun)

    run(worker, some, wait=0.3)
    assert worker.batches == [[b"1"], [b"2", b"3"], [b"4"]]
    assert times[0] < 0.2 <= 0.29 <= times[1]


def test_a_full_queue_refuses_and_empties() -> None:
    async def some(joiner: Joiner) -> list[int]:
        refused = []
        with joiner.arriving(), joiner.arriving():
            with pytest.raises(Refusal) as caught, joiner.arriving():
                pass
            refused.append(caught.value.status)
        with joiner.arriving():
            pass
        return refused

    assert run(Worker(), some, max_queue=2) == [503]


def test_an_answer_that_takes_too_long_is_refused_and_leaves_nothing_behind() -> None:
    async def some(joiner: Joiner) -> tuple[int, int]:
        slow = asyncio.create_task(joiner.found(b"1"))
        await asyncio.sleep(0.01)
        with pytest.raises(Refusal) as caught:
            await joiner.found(b"2")
        with pytest.raises(Refusal):
            await slow
        return caught.value.status, joiner.waiting

    assert run(Worker(0.5), some, timeout=0.05) == (503, 0)


@pytest.mark.parametrize(("error", "status"), [(SizeError("x"), 413), (KindError("x"), 415), (ReadError("x"), 422)])
def test_the_error_of_a_picture_is_that_of_its_request_alone(error: Exception, status: int) -> None:
    async def work(pictures: Sequence[bytes]) -> list[Found | Exception]:
        return [error if picture == b"2" else found_for(picture) for picture in pictures]

    async def some(joiner: Joiner) -> list[Any]:
        return await asyncio.gather(*(joiner.found(b"%d" % n) for n in (1, 2, 3)), return_exceptions=True)

    one, two, three = run(work, some)
    assert (one.size[0], three.size[0]) == (1, 3)
    assert isinstance(two, Refusal)
    assert two.status == status


def test_after_a_failure_of_the_engine_it_works_on() -> None:
    async def work(pictures: Sequence[bytes]) -> list[Found | Exception]:
        if b"1" in pictures:
            raise RuntimeError("the engine")
        return [found_for(picture) for picture in pictures]

    async def some(joiner: Joiner) -> Found:
        with pytest.raises(RuntimeError, match="the engine"):
            await joiner.found(b"1")
        return await joiner.found(b"2")

    assert run(work, some).size[0] == 2

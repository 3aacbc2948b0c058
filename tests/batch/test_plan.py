from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.batch.inputs import Entry
from canthus.batch.plan import LARGEST, SMALLEST, Part, Plan
from canthus.errors import OutputError


@settings(max_examples=20)
@given(st.integers(0, 100_000), st.integers(0, 5))
def test_parts_cover_all_pictures_and_videos_once(pictures: int, videos: int) -> None:
    plan = Plan(Path(), pictures, videos, "")
    parts = list(plan.parts())
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts)][: len(parts)]
    assert sum(part.stop - part.start for part in parts) == plan.total
    assert SMALLEST <= plan.size <= LARGEST and LARGEST % plan.size == 0
    assert all(part.stop - part.start == 1 for part in parts if part.start >= pictures)
    assert len(parts) <= max(pictures / LARGEST, 128) + 1 + videos


@settings(max_examples=5)
@given(st.sampled_from([0, 1, 1023, 1024, 1025, 3000]), st.integers(0, 3))
def test_entries_of_parts_are_those_of_the_run(tmp_path_factory, pictures: int, videos: int) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("plan")
    some = [Entry(f"\udcff{number}.jpg" if number % 2 else "t.parquet", number % 3 - 1) for number in range(pictures)]
    films = [Entry(f"{number}.mp4") for number in range(videos)]
    plan = Plan.make(folder, iter([*films, *some]))
    assert (plan.pictures, plan.videos) == (pictures, videos)
    assert [entry for part in plan.parts() for entry in plan.entries(part)] == [*some, *films]
    for part in list(plan.parts())[-2:]:
        assert [plan.entries(piece) for piece in part.pieces] == [[entry] for entry in plan.entries(part)]


def test_a_plan_is_kept(tmp_path: Path) -> None:
    def some(count: int) -> Iterator[Entry]:
        return (Entry(f"{number}.jpg") for number in range(count))

    plan = Plan.make(tmp_path / "plan", some(5))
    assert Plan.make(tmp_path / "plan", some(5)) == plan
    with pytest.raises(OutputError, match="its run began with 5 pictures and 0 videos, and now there are 4 and 0"):
        Plan.make(tmp_path / "plan", some(4))
    with pytest.raises(OutputError, match="now there are 5 and 0, or others"):
        Plan.make(tmp_path / "plan", reversed(list(some(5))))
    (tmp_path / "plan" / "pictures.parquet").write_bytes(b"")
    with pytest.raises(OutputError, match=r"pictures\.parquet: is damaged"):
        plan.entries(Part(0, 0, 5))
    (tmp_path / "plan" / "plan.json").write_text("{}")
    with pytest.raises(OutputError, match=r"plan\.json: is damaged"):
        Plan.make(tmp_path / "plan", some(5))

"""Cards of training runs for tests."""

from pathlib import Path

from canthus.train.recipe import Run
from canthus.train.run_card import RunCard, Session


def write_card(folder: Path, recipe: Run, minutes: list[float | None]) -> None:
    """The card of a run that was started once for each of some durations; None = it did not end."""
    card = RunCard.of(recipe, folder, "68", {}, None)
    card.sessions.extend(Session(commit="none", first_step=0, minutes=spent) for spent in minutes)
    card.write(folder)

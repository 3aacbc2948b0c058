"""Licence and limits of a model, which its card derives from the training data."""

from collections.abc import Sequence

from canthus.data.licences import LICENCES
from canthus.train.run_card import RunCard

SCARCE = 0.05
"""Share of the training faces below which a kind of face is a limit of the model."""


def licence_of(names: Sequence[str]) -> str:
    """Statement of what weights may be used for that were trained on some data sets.

    Args:
        names: Names of the sets, as in a recipe: "wild68", "csv:infant68".
    """
    ends = [name.rpartition(":")[2].rpartition("/")[2] for name in names]
    if any(end.startswith("views_") for end in ends):  # copies of these views have the terms of the same photographs
        ends = [end for end in ends if not end.endswith("_views")]
    folders = list(dict.fromkeys(map(_source, ends)))
    terms = {folder: LICENCES[folder] for folder in folders if folder in LICENCES}
    unknown = [folder for folder in folders if folder not in LICENCES]
    reasons = [f"{folder}: {term.text}" for folder, term in terms.items()]
    reasons += [f"{folder}: licence not recorded" for folder in unknown]
    commercial = not unknown and all(term.commercial for term in terms.values())
    use = "any use that the licences of the training data allow" if commercial else "research use only"
    return f"Weights: {use}, because of the training data ({'; '.join(reasons)})."


def _source(folder: str) -> str:
    """Data set whose photographs a set of the data factory was made from, by the end of its name: views_wild68."""
    return next((name for name in LICENCES if folder.endswith(f"_{name}")), folder)


def limits_of(cards: Sequence[RunCard]) -> list[str]:
    """Statements of what a model of landmarks is not good at, from the facts about its training faces."""
    limits = []
    for place, facts in enumerate(card.faces for card in cards if card.faces):
        turned = facts["yaw over 60"]
        if facts["yaw known"] == 0:
            limits.append("the head poses of the training faces are not known")
        elif turned < SCARCE:
            limits.append(f"full profiles (yaw beyond 60 degrees) are {turned:.1%} of the training faces")
        if facts["hidden points labelled"] == 0:
            limits.append("no hidden point is labelled in the training data")
        most = facts["rotation, degrees"]
        if place == 0 and most < 180:  # later networks see crops that the points before have turned upright
            limits.append(f"heads rotated in the plane by more than {most:.0f} degrees need their roll")
    return list(dict.fromkeys(limits))

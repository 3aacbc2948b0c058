"""Cards of bundles for tests."""

from collections.abc import Mapping

from canthus.geometry.crop import Crop
from canthus.runtime.bundle import Card, Checkpoint, Precision, StageCard, member_of


def toy_card(
    system: str,
    files: Mapping[str, Mapping[Precision, tuple[str, bytes]]],
    crop: Crop | None,
    arrays: tuple[str, bytes] | None = None,
    **changes: object,
) -> Card:
    """The card of a system of one stage, "landmarks".

    Args:
        system: Stem of the system.
        files: For each network and precision the name of its file, and its bytes.
        crop: What it sees.
        arrays: Name and bytes of its .npz file.
        changes: Other fields of the card.
    """
    parts = {part: {kind: member_of(*file) for kind, file in some.items()} for part, some in files.items()}
    stage = StageCard(
        name="landmarks",
        scheme="68",
        points=68,
        crop=crop,
        parts=parts,
        arrays=None if arrays is None else member_of(*arrays),
        checkpoint="landmarks",
    )
    fields: dict[str, object] = {
        "name": "toy",
        "system": system,
        "stages": [stage],
        "checkpoints": {"landmarks": Checkpoint(sha256=None, recipe={}, training={})},
        "paper": "none",
        "data": ["made up"],
        "measured": [],
        "licence": "MIT",
        "limits": [],
    }
    return Card.model_validate(fields | changes)

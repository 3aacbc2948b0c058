"""Every network that finds or judges faces, by its stem: the counterpart of `nets/systems.py`."""

from collections.abc import Mapping
from typing import Any

from canthus.nets.detection import detector, face_score
from canthus.nets.network import DetectionNetwork, configured

DETECTION: Mapping[str, DetectionNetwork] = {"detector": detector.NETWORK, "face_score": face_score.NETWORK}
"""How each of them is made, trained and exported."""


def configure(stem: str, preset: str, fields: Mapping[str, Any]) -> Any:
    """The config of a network.

    Args:
        stem: A key of `DETECTION`.
        preset: One of the presets of the network.
        fields: Fields that differ from the preset.

    Raises:
        RecipeError: no such preset or field.
    """
    return configured(DETECTION[stem].presets, stem, preset, fields)

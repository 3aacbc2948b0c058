"""Published figures as printed, and whether the figures of a paper are consistent."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

SLACK = 0.015
"""Largest difference in per cent between a mean of rounded or truncated figures and a rounded or truncated mean."""


@dataclass(frozen=True, slots=True)
class Published:
    """The figures of one system under one protocol.

    Attributes:
        system: Name of the system in the paper, or its module name in canthus.
        protocol: Name of the protocol.
        source: Paper and table.
        nme: Normalised mean error, a fraction; None = not given.
        auc: Area under the cumulative error distribution, 0..1; None = not given.
        failure_rate: Share of failures, 0..1; None = not given.
        doubt: Contradiction within the paper; empty = none known.
    """

    system: str
    protocol: str
    source: str
    nme: float | None
    auc: float | None
    failure_rate: float | None
    doubt: str


def published(protocol: str) -> list[Published]:
    """What papers report under a protocol, best NME first, then by AUC.

    Args:
        protocol: Name of a protocol. Protocols that score the same faces share their published figures.
    """
    data = _read()
    name = data["same"].get(protocol, protocol)
    found = [_entry(row, name, data) for row in data["systems"] if any(name in row.get(key, {}) for key in _KEYS)]
    return sorted(found, key=lambda row: (row.nme is None, row.nme or 0, -(row.auc or 0)))


_KEYS = ("nme", "auc", "failure_rate")


def _entry(row: Mapping[str, Any], name: str, data: Mapping[str, Any]) -> Published:
    value = {key: row[key][name] / 100 if name in row.get(key, {}) else None for key in _KEYS}
    table = f", {_table(row['table'])}" if "table" in row else ""
    return Published(
        row["system"], name, f"{data['papers'][row['paper']]}{table}", **value, doubt=_doubt(row, name, data)
    )


def _table(where: str | int) -> str:
    return str(where) if str(where).startswith("section") else f"table {where}"


def _doubt(row: Mapping[str, Any], name: str, data: Mapping[str, Any]) -> str:
    """How the figures of this system contradict each other, where the protocol is a part or the whole of a mean."""
    nme = row.get("nme", {})
    for rule in data["sums"]:
        whole, parts = rule["whole"], rule["parts"]
        if name in (whole, *parts) and nme.keys() >= {whole, *parts}:
            mean = sum(nme[part] * faces for part, faces in parts.items()) / sum(parts.values())
            if abs(mean - nme[whole]) > SLACK:
                return f"the paper's subsets add up to {mean:.2f}, it prints {nme[whole]:.2f} for the full set"
    if "bins" in row and name in nme:
        mean = sum(row["bins"]) / len(row["bins"])
        if abs(mean - nme[name]) > SLACK:
            return f"the paper's bins have the mean {mean:.2f}, it prints {nme[name]:.2f}"
    return ""


@cache
def _read() -> dict[str, Any]:
    text = files("canthus.evaluate").joinpath("data", "published.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data

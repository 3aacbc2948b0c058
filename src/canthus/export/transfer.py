"""A transfer to another scheme as the last stage of a bundle: coarse_to_fine, section 3.4.

It is fitted to what the bundle itself finds in training photographs, since a map that is fitted to exact points
amplifies the errors of found ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.align.aligner import Aligner
from canthus.align.coarse_to_fine import fit_transfer, transferred
from canthus.align.estimate import Estimate
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.export.card import licence_of
from canthus.geometry.crop import box_of
from canthus.runtime.bundle import Bundle, Card, StageCard, member_of, pack_arrays, write_bundle
from canthus.schemes.scheme import SCHEMES, Scheme
from canthus.types import Floats
from canthus.work.archive import read_member
from canthus.work.files import replace_whole

RIDGES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
"""Weights of the squared map, of which the one with the smallest error on validation faces is taken."""
STAGE = "transfer"


def _parts(group: str) -> list[str]:
    """The splits, or their groups, that a transfer is fitted to and chosen on."""
    return [f"{split}/{group}" if group else split for split in ("train", "val")]


def check_transfer(name: str, root: Path, group: str = "", options: Mapping[str, str] | None = None) -> None:
    """Notice a missing set of a transfer before a bundle is made; the arguments are those of `add_transfer`.

    Raises:
        DataError: the set or its group is missing, its reader has no such option, or its faces have no points or
            several schemes.
    """
    for part in _parts(group):
        labelled(name, root, part, **(options or {}))


def add_transfer(path: Path, name: str, root: Path, group: str = "", options: Mapping[str, str] | None = None) -> Card:
    """Add a transfer to a bundle, in place.

    Args:
        path: The bundle.
        name: Set with labels in the other scheme: the map is fitted to its split "train", its ridge to "val".
        root: Folder of the data sets.
        group: Group of these splits whose faces are used, as "profile_left"; empty = all faces.
        options: Options of the reader of the set, as {scheme: "39_left"}.

    Returns:
        The new card.

    Raises:
        BundleError: the bundle is missing or damaged.
        DataError: the set or its group is missing, its reader has no such option, or its faces have no points or
            several schemes.
    """
    bundle, aligner = Bundle.open(path), Aligner.open(path)
    parts = _parts(group)
    arrays = best_transfer(aligner, *(labelled(name, root, part, **(options or {})) for part in parts))
    last = bundle.card.stages[-1]
    curve = {key: array for key, array in bundle.arrays(last).items() if key.startswith("score_")}
    packed, file, target = pack_arrays(arrays | curve), f"{STAGE}.npz", str(arrays["transfer_to"][0])
    stage = StageCard(
        name=STAGE,
        scheme=target,
        points=Scheme.open(target).count,
        crop=last.crop,
        parts={},
        arrays=member_of(file, packed),
        checkpoint=last.checkpoint,
    )
    schemes = {} if target in SCHEMES else {target: Scheme.open(target).definition}
    card = bundle.card.model_copy(
        update={
            "stages": [*bundle.card.stages, stage],
            "schemes": bundle.card.schemes | schemes,
            "data": list(dict.fromkeys([*bundle.card.data, f"{name} {parts[0]}"])),
            "licence": licence_of([*(entry.rpartition(" ")[0] for entry in bundle.card.data), name]),
        }
    )
    members = [member for one in bundle.card.stages for member in one.members()]
    contents = {member.file: read_member(path, member.file) for member in members} | {file: packed}
    with replace_whole(path) as temporary:
        write_bundle(temporary, card, contents)
    return card


def labelled(name: str, root: Path, split: str, **options: str) -> list[Sample]:
    """The faces of a set with points, all of one scheme; arguments as of `open_set`.

    Raises:
        DataError: the set is missing, or has no such faces.
    """
    samples = [sample for sample in open_set(name, root, split, **options) if sample.scheme != NO_POINTS]
    schemes = {sample.scheme for sample in samples}
    if len(schemes) != 1:
        raise DataError(f"{name} {split}: a transfer needs faces of one scheme, not of {', '.join(schemes) or 'none'}")
    return samples


def best_transfer(aligner: Aligner, train: Sequence[Sample], val: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Arrays of the transfer of what a model finds in training faces, with the ridge that is best for others."""
    target = train[0].scheme
    (found, truth), (other, goal) = (seen(aligner, faces) for faces in (train, val))
    best, least = {}, np.inf
    for ridge in RIDGES:
        arrays = fit_transfer(found, aligner.card.scheme, truth, target, ridge)
        moved = transferred(Estimate.of_points(other), arrays).points
        error = float(np.nanmean(np.linalg.norm(moved - goal, axis=-1) / _sides(goal)[:, None]))
        if error < least:
            best, least = arrays, error
    return best


def seen(aligner: Aligner, samples: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Points that a model finds from true boxes (F, P, 2), and the labels (F, Q, 2)."""
    truth = np.stack([sample.points[:, :2] for sample in samples]).astype(np.float32)
    system, found = aligner.system, []
    for start in range(0, len(samples), system.batch):
        some = slice(start, start + system.batch)
        view = View.of_points([sample.picture() for sample in samples[some]], truth[some])
        found.append(system.run(view).points[..., :2])
    return np.concatenate(found), truth


def _sides(points: Floats) -> Floats:
    """Longer side of the box of each face. Shape (F,)."""
    boxes = box_of(points)
    sides: Floats = (boxes[:, 2:] - boxes[:, :2]).max(1)
    return sides

"""The training faces of a recipe in memory, and the frames in which the trained stage sees them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, System
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.face3d.rigid import RigidFace
from canthus.geometry.crop import box_of
from canthus.geometry.shape import align, mean_shape
from canthus.geometry.transform import Matrix
from canthus.nets.systems import network_of
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, convert, union_slots
from canthus.train.landmarks.system import Trained, join
from canthus.train.landmarks.teacher import Answers, boxed_by
from canthus.train.memory import reduced, scaled
from canthus.train.recipe import Recipe, SetShare
from canthus.types import Floats, Image

Doubles = NDArray[np.float64]
POSED = ("fits", "views", "packed")
"""Readers of sets whose head poses have the signs of canthus."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Training faces in memory, arrays aligned by face.

    Attributes:
        images: Pictures, reduced to the recipe's `memory`. L of them.
        points: Pixels of those pictures; NaN = not known. Shape (L, P, 2).
        depth: Third coordinate in pixels of those pictures; NaN = not known. Shape (L, P).
        visible: 1 where a point can be seen, 0 where it is hidden; NaN = not known. Shape (L, P).
        given: Points by which the crops are cut: labels, or points read by `SetShare.given`; in the scheme that the
            network starts from (`Network.given`). Shape (L, Q, 2).
        box: Face boxes of sets whose points do not span the face (`Sample.box`); NaN = the box of the points.
            Shape (L, 4).
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (L, 3).
        view: Number of the view that the annotation shows (`transfer.VIEWS`); 0 for all other schemes. Shape (L,).
        scheme: Name of the scheme of the network.
        trust: Weight of the labels in the losses. Shape (L,).
        chance: Probability that a face is drawn; adds up to 1. Shape (L,).
        teaching: Weight of the teacher's answers against the labels, 0..1. Shape (L,).
        taught: What the teacher found; None = there is no teacher.
    """

    images: Sequence[Image]
    points: Floats
    depth: Floats
    visible: Floats
    given: Floats
    box: Floats
    pose: Floats
    view: NDArray[np.int64]
    scheme: str
    trust: Floats
    chance: Doubles
    teaching: Floats
    taught: Answers | None = None


Parts = Sequence[tuple[SetShare, Sequence[Sample]]]


def load_pool(recipe: Recipe, root: Path, margin: float, teacher: Trained | None = None) -> Pool:
    """Read the training faces of a recipe into memory.

    Args:
        recipe: The recipe.
        root: Folder of the data sets.
        margin: Crop margin of the network.
        teacher: Network from whose answers the trained one learns; it also finds the boxes of faces in pictures
            without landmarks. None = there is none.

    Raises:
        DataError: a set is missing or incomplete, or has no landmarks; or the sets have different schemes and the
            recipe names none.
        ReadError: a picture cannot be read.
    """
    if teacher is not None:
        teacher.net.to(recipe.accelerator)
    finder = None if teacher is None else join([teacher])
    parts = [
        (share, boxed_by(open_set(share.name, root, share.split, **share.options), finder, share.name))
        for share in recipe.sets
    ]
    samples = [(share, sample) for share, some in parts for sample in some]
    scheme = scheme_of(recipe, [sample for _, sample in samples])
    side = recipe.memory_for(margin)
    with ThreadPoolExecutor(4) as threads:
        images, scales = zip(*threads.map(lambda pair: reduced(pair[1], side), samples), strict=True)
    labels = np.stack([labels_in(sample, scheme, share.union) for share, sample in samples])
    points = scaled(labels, np.stack(scales))
    rarity = iter(shape_distance(points) ** recipe.emphasis)
    among = [(share.weight, np.array([next(rarity) for _ in some])) for share, some in parts]
    chance = np.concatenate([weight * some / some.sum() for weight, some in among])
    box = _boxes([sample for _, sample in samples], np.stack(scales))
    half = recipe.precision == "bf16-mixed"
    taught = None if teacher is None else Answers.of(teacher, images, _known_boxes(box, points), half)
    return Pool(
        images=images,
        points=points,
        depth=labels[..., 2] * np.sqrt(np.prod(np.stack(scales), 1))[:, None],
        visible=np.stack([_visibility(sample, scheme) for _, sample in samples]),
        given=_given(parts, labels, np.stack(scales), root, (scheme, network_of(recipe.network, recipe.stage).given)),
        box=box,
        pose=_poses(parts, _best(points, taught), None if recipe.pose_model is None else root / recipe.pose_model),
        view=np.array([VIEWS.index(sample.scheme) if sample.scheme in VIEWS else 0 for _, sample in samples]),
        scheme=scheme,
        trust=np.array([share.trust for share, _ in samples], np.float32),
        chance=chance / chance.sum(),
        teaching=np.array([_teaching(recipe, share) for share, _ in samples], np.float32),
        taught=taught,
    )


def _teaching(recipe: Recipe, share: SetShare) -> float:
    """Weight of the teacher's answers for the faces of a set."""
    return 0.0 if recipe.teacher is None else recipe.teacher.weight * share.taught


def scheme_of(recipe: Recipe, samples: Sequence[Sample]) -> str:
    """The scheme of the network of a recipe: the one that it names, or that all its faces have.

    Raises:
        DataError: the faces have several schemes, and the recipe does not name the network's.
    """
    found = sorted({sample.scheme for sample in samples})
    if recipe.scheme is None and len(found) != 1:
        raise DataError(f"the sets of the recipe have the schemes {', '.join(found)}; set `scheme` to the network's")
    return recipe.scheme or found[0]


def measured_faces(share: SetShare, root: Path, scheme: str, other: str = "") -> tuple[list[Sample], Floats]:
    """The faces of a set that a network is measured on, and the points from which its stage starts.

    Args:
        share: The set.
        root: Folder of the data sets.
        scheme: Scheme of the network.
        other: Scheme of the points that it starts from; empty = the same.

    Returns:
        The labelled faces, L of them, those of a union of views in the slots of the union; and their points, shape
        (L, Q, 2).

    Raises:
        DataError: the set is missing or incomplete, or a face has no points that the network starts from.
    """
    every = open_set(share.name, root, share.split, **share.options)
    samples = [sample for sample in every if sample.scheme != NO_POINTS]
    if not samples:
        return [], np.zeros((0, Scheme.open(other or scheme).count, 2), np.float32)
    if share.union:
        samples = [replace(one, points=labels_in(one, scheme, True), scheme=scheme, visible=None) for one in samples]
    labels = np.stack([labels_in(sample, scheme) for sample in samples])
    return samples, given_points(share, samples, labels, root, (scheme, other))[..., :2]


def labels_in(sample: Sample, scheme: str, union: bool = False) -> Floats:
    """The labels of a face in a scheme.

    Args:
        sample: The face.
        scheme: Name of the scheme.
        union: Whether profile points take the slots of their nearest frontal points (`transfer.union_slots`).

    Returns:
        The points, with depth; NaN = not known. Shape (P, 3).

    Raises:
        SchemeError: the schemes share no point.
    """
    points = np.full((len(sample.points), 3), np.nan, np.float32)
    points[:, : sample.points.shape[1]] = sample.points
    if sample.scheme == scheme:
        return points
    if union:
        slots = np.full((Scheme.open(scheme).count, 3), np.nan, np.float32)
        slots[list(union_slots(sample.scheme))] = points
        return slots
    return np.asarray(convert(points, sample.scheme, scheme), np.float32)


def frames_of(pool: Pool, stage: Stage, given: Floats) -> Matrix:
    """The frames in which a stage sees the faces of a pool.

    Args:
        pool: The faces.
        stage: The stage; its networks are not needed.
        given: Points that the stage starts from. Shape (L, P, 2).

    Returns:
        Maps from the picture of each face to its frames, one or several. Shape (L, G, 2, 3).
    """
    view = stage.look(View.of_boxes(pool.images, _known_boxes(pool.box, given)), Estimate.of_points(given))
    return view.frames.reshape(len(pool.images), -1, 2, 3)


def real_points(pool: Pool, earlier: System) -> Floats:
    """Points that the earlier stages find, starting from the boxes of the labels. Shape (L, P, 2)."""
    view, step = View.of_boxes(pool.images, _known_boxes(pool.box, pool.points)), earlier.batch
    return np.concatenate([earlier.run(view[at : at + step]).points[..., :2] for at in range(0, len(view), step)])


def shape_distance(points: Floats) -> Doubles:
    """Distance of each shape from the mean shape, over the median distance and clipped to .5 .. 3.

    Args:
        points: Labels; NaN = not known, left out. Shape (L, P, 2).

    Returns:
        Root mean square distance of the known points after the best similarity, over the median one; 1 for a face
        without labels. Shape (L,).
    """
    faces, known = _known(points)
    if not faces.any():
        return np.ones(len(points))
    some = points[faces][:, known]
    mean = mean_shape(some)
    aligned, _ = align(some, mean)
    distance = np.sqrt(np.nanmean(((aligned - mean) ** 2).sum(2), 1))
    rarity = np.ones(len(points))
    rarity[faces] = np.clip(distance / np.median(distance), 0.5, 3.0)
    return rarity


def turns_of(points: Floats, scheme: str) -> Doubles:
    """In-plane rotation of faces: that of the similarity from the mirror symmetric mean face of all.

    Args:
        points: Labels; NaN = not known. Shape (L, P, 2).
        scheme: Name of their scheme; half a face has a mean face of its own.

    Returns:
        Degrees, clockwise on the screen; NaN for a face without labels. Shape (L,).
    """
    faces, known = _known(points)
    turns = np.full(len(points), np.nan)
    if not faces.any():
        return turns
    described = Scheme.open(scheme)
    every, some = points[faces], known
    if described.mirror_scheme == scheme:
        every = np.concatenate([every, every[:, described.mirror] * np.array([-1, 1], np.float32)])
        some = known | known[described.mirror]
    _, frames = align(points[faces][:, some], mean_shape(every[:, some]))
    turns[faces] = -np.degrees(np.arctan2(frames[:, 1, 0], frames[:, 0, 0]))
    return turns


def _known(points: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Faces (L,) with two known points or more, and points (P,) that are known somewhere."""
    finite = np.isfinite(points).all(-1)
    return np.asarray(finite.sum(1) > 1), np.asarray(finite.any(0))


def _known_boxes(box: Floats, points: Floats) -> Floats:
    """The boxes (L, 4) of faces that are known, elsewhere those of points (L, P, 2). Shape (L, 4)."""
    boxes = box.copy()
    unknown = np.isnan(boxes).any(1)
    boxes[unknown] = box_of(points[unknown])
    return boxes


def _best(points: Floats, taught: Answers | None) -> Floats:
    """The labels of faces (L, P, 2), and the answers of the teacher for faces without any."""
    if taught is None:
        return points
    return np.where(np.isfinite(points).any((1, 2), keepdims=True), points, taught.points)


def _boxes(samples: Sequence[Sample], scales: Floats) -> Floats:
    """The boxes that the samples give, in the reduced pictures; NaN where they give none. Shape (L, 4)."""
    unknown = np.full(4, np.nan, np.float32)
    boxes = np.stack([unknown if sample.box is None else sample.box for sample in samples])
    return scaled(boxes.reshape(-1, 2, 2), scales).reshape(-1, 4)


def _given(parts: Parts, labels: Floats, scales: Floats, root: Path, schemes: tuple[str, str]) -> Floats:
    """Points by which crops are cut, in the reduced pictures: `given_points` of each set. Shape (L, Q, 2)."""
    rows, start = [], 0
    for share, some in parts:
        rows.append(given_points(share, some, labels[start : start + len(some)], root, schemes))
        start += len(some)
    return scaled(np.concatenate(rows), scales)


def given_points(
    share: SetShare, samples: Sequence[Sample], labels: Floats, root: Path, schemes: tuple[str, str]
) -> Floats:
    """Points from which the stage of a network starts.

    Args:
        share: The set, which may name them by `given`.
        samples: Its faces. L of them.
        labels: Their labels in the scheme of the network. Shape (L, P, 3).
        root: Folder of the data sets.
        schemes: Scheme of the network's points, and that of the points it starts from; empty = the same.

    Returns:
        The points that the set gives, or else the labels, in pixels of the pictures. Shape (L, Q, 3).

    Raises:
        DataError: a face has no points of the scheme that the network starts from.
    """
    own, other = schemes
    others = open_set(share.name, root, share.split, **(share.options | share.given)) if share.given else ()
    by_image = {sample.image: labels_in(sample, other or own, union=bool(other)) for sample in others}
    if other in ("", own):
        return np.stack([by_image.get(sample.image, known) for sample, known in zip(samples, labels, strict=True)])
    if lost := [sample.image for sample in samples if sample.image not in by_image]:
        raise DataError(
            f"{share.name}: {lost[0]} has no points of scheme {other}, from which the network starts; name the"
            " options that read them in `given` of the set"
        )
    return np.stack([by_image[sample.image] for sample in samples])


def _visibility(sample: Sample, scheme: str) -> Floats:
    """Visibility of each point: 1 = visible, 0 = hidden, NaN = not known. Shape (P,)."""
    if sample.visible is None or sample.scheme != scheme:
        return np.full(Scheme.open(scheme).count, np.nan, np.float32)
    return sample.visible.astype(np.float32)


def _poses(parts: Parts, points: Floats, model: Path | None) -> Floats:
    """Head poses: those that the data factory wrote, else fits of a rigid 3D face to 68 points. (L, 3) degrees."""
    unknown = np.full(3, np.nan, np.float32)
    stored = [
        sample.pose if share.name.partition(":")[0] in POSED and sample.pose is not None else unknown
        for share, some in parts
        for sample in some
    ]
    pose = np.stack(stored).astype(np.float32)
    missing = np.isnan(pose).any(1)
    if model is not None and points.shape[1] == 68 and missing.any():
        pose[missing] = RigidFace.open(model).poses(points[missing])
    return pose

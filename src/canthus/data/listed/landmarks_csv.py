"""Reads sets of CSV files `image,identity,x0,y0,x1,y1,...` with pictures in the folder `images` (wild68, aflw68, ...).

A set may use the pictures of another one by their relative path from `images`, as `../../ytf68/images/a.jpg`
(`canthus synth denoise` writes such sets); the folder `images` itself need not exist then.
"""

import os
from dataclasses import replace
from pathlib import Path

from canthus.data.files import choose, exists, expect
from canthus.data.listed.beside import read_boxes, read_flags, read_visibility, row_of, visible_in
from canthus.data.listed.cells import group_of, read_rows
from canthus.data.listed.order_map import MAPS, OrderMap, lists, with_face_box
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.formats.record import Record, visible_of
from canthus.formats.table import load
from canthus.schemes.scheme import Scheme

TREE = """\
{folder}/
  train.csv, val.csv, test.csv    image,identity,x0,y0,x1,y1,...
  test_boxes.csv                  optional: image,NAME_x0,NAME_y0,NAME_x1,NAME_y1,...
  visibility.csv                  optional: image,v0,v1,...: 1 visible, 2 occluded by an object, 0 self-occluded
  flags.csv                       optional: image,NAME,...: 1 yes, 0 no, -1 not known
  images/                         the pictures that the column `image` names"""

PORTRAITS_TREE = """\
{folder}/
  train.csv    image,x0,y0,...,x4,y4,gender,smile,glasses,pose
  images/      the pictures that the column `image` names"""

PORTRAIT_GROUPS = {
    "gender": {"1": "male", "2": "female"},
    "smile": {"1": "yes", "2": "no"},
    "glasses": {"1": "yes", "2": "no"},
}
POSES = {
    "1": ("profile", "profile_left"),
    "2": ("half",),
    "3": ("front",),
    "4": ("half",),
    "5": ("profile", "profile_right"),
}
"""Groups of the poses of portraits5; "profile_left" shows the subject's left half, as in `views`."""


def read_csv(folder: Path, split: str, maps: str = "", identity: str = "", scheme: str = "") -> list[Sample]:
    """Read one split.

    Args:
        folder: The folder of the set.
        split: Name of the CSV file without its extension: "train", "val", "test".
        maps: Map file beside the folder of the set, as "maps_to_ibug68.json", for labels in an order of their own
            (`order_map`); the samples then have the 68 points of iBUG.
        identity: "image" = a file without identities is read, and each picture shows a person of its own.
        scheme: Landmark scheme of the points: a name, or the YAML file of an own scheme; empty = that of the file, else
            the number of points, as "68".

    Returns:
        One sample per face, in the order of the file, with all that `formats.csv` reads: depth (z0, ...), hidden points
        (o0, ...), pose, and the box bx0 ... by1 as "set"; `boxes` are also those of `<split>_boxes.csv` by name, where
        that file exists. Visibility is that of `visibility.csv`, where it exists, and the flags of `flags.csv` that are
        1 are groups. An empty cell is NaN.

    Raises:
        DataError: a file or picture is missing, there are no points or identities, a file beside the split has no row
            for a picture, the labels have an order of their own and no map is given, or they have another scheme.
        SchemeError: there is no such scheme, or its file is damaged.
        FormatError: a row has the wrong number of cells, or a cell is not a number.
    """
    table = expect(folder / f"{split}.csv", folder, TREE)
    by_image = bool(identity) and choose({"image": "image"}, identity, "csv", "identity") == "image"
    if maps:
        order = OrderMap.open(folder.parent / maps, folder.name)
        samples = [order.mapped(sample) for sample in _samples(table, by_image)]
    elif lists(folder.parent / MAPS, folder.name):
        raise DataError(
            f"{table}: {MAPS} lists this set: its labels have an order of their own; open it as {folder.name!r}, "
            f"or with the option maps={MAPS}"
        )
    else:
        samples = _samples(table, by_image)
    if not scheme:
        return samples
    chosen = Scheme.open(scheme)
    return [sample.in_scheme(chosen, table) for sample in samples]


def read_mapped(folder: Path, split: str, points: str = "68") -> list[Sample]:
    """Read one split of a set whose labels have an order of their own.

    Args:
        folder: The folder of the set; `maps_to_ibug68.json` lies beside it.
        split: "train" or "val".
        points: "68" = the points of iBUG that follow from the labels, the others NaN; "own" = the labels as they are,
            and the name of the folder as scheme.

    Returns:
        Samples as of `read_csv`. The box is the face box of all labels, also in `boxes` as "face".

    Raises:
        DataError: the split, the points or a file is missing, or the map is damaged or does not fit the labels.
    """
    table = expect(folder / f"{split}.csv", folder, TREE)
    if choose({"68": True, "own": False}, points, folder.name, "points"):
        return read_csv(folder, split, MAPS)
    return [replace(with_face_box(sample, folder.name), scheme=folder.name) for sample in _samples(table)]


def read_portraits(folder: Path, split: str) -> list[Sample]:
    """Portraits with five points, profiles among them.

    Args:
        folder: The folder of the set.
        split: "train".

    Returns:
        Samples of scheme "5" (centres of the eyes, tip of the nose, corners of the mouth), hidden points included.
        Groups "front", "half", "profile", "profile_left" and "profile_right" by the visible half of the face,
        "gender-male", "gender-female", "smile-yes", "smile-no", "glasses-yes", "glasses-no". The identity is the
        source picture, which may show several faces.

    Raises:
        DataError: a file or picture is missing, the header is another, or an attribute has an unknown value.
        FormatError: a row has the wrong number of cells, or a cell is not a number.
    """
    table = expect(folder / f"{split}.csv", folder, PORTRAITS_TREE)
    header, rows = read_rows(table)
    columns = [*PORTRAIT_GROUPS, "pose"]
    if header[:1] != ["image"] or header[11:] != columns:
        raise DataError(f"{table}: the header is image,x0,y0,...,x4,y4,{','.join(columns)}, not {','.join(header)}")
    samples = []
    for record, (line, cells) in zip(load(table), rows, strict=True):
        groups: set[str] = set()
        for column, value in zip(columns, cells[11:], strict=True):
            known = POSES if column == "pose" else PORTRAIT_GROUPS[column]
            if value not in known:
                raise DataError(f"{table}, line {line}: {column} is {value!r}, not one of {', '.join(known)}")
            groups |= {*POSES[value]} if column == "pose" else {group_of(column, PORTRAIT_GROUPS[column][value])}
        source = Path(record.image).stem.rpartition("_")[0] or record.image
        sample = _sample(record, table, PORTRAITS_TREE)
        samples.append(replace(sample, identity=f"{folder.name}:{source}", groups=frozenset(groups)))
    return samples


def _samples(table: Path, by_image: bool = False) -> list[Sample]:
    folder = table.parent
    faces = [record for record in load(table) if not record.empty]
    identified = by_image or any(record.identity for record in faces)
    if not all(len(record.points) for record in faces) or not identified:
        raise DataError(
            f"{table}: no points or no identities; the header is image,identity,x0,y0,x1,y1,..., or give the option"
            " `identity: image` where each picture shows a person of its own"
        )
    boxes_of, seen, flags = (folder / name for name in (f"{table.stem}_boxes.csv", "visibility.csv", "flags.csv"))
    boxes, codes, groups = read_boxes(boxes_of), read_visibility(seen), read_flags(flags)
    samples = []
    for record in faces:
        sample = _sample(record, table, TREE)
        named = row_of(boxes, boxes_of, record.image) or {}
        visibility = row_of(codes, seen, record.image)
        visible = sample.visible
        if visibility is not None:
            visible = visible_in(visibility, sample.points, seen, record.image)
        given = row_of(groups, flags, record.image) or frozenset()
        samples.append(replace(sample, boxes={**sample.boxes, **named}, visible=visible, groups=given))
    return samples


def _sample(record: Record, table: Path, tree: str) -> Sample:
    path = _picture(table.parent / "images", record.image)
    if not exists(path) and exists(table.parent / record.image):  # results that lie beside their pictures
        path = table.parent / record.image
    if not exists(path) or not path.is_file():
        raise DataError(f"{table}: {path} does not exist; expected\n{tree.format(folder=table.parent)}")
    return Sample(
        path,
        record.points,
        record.scheme or str(len(record.points)),
        record.identity or record.image,
        visible=visible_of(record.occluded),
        pose=record.pose,
        boxes={} if record.box is None else {"set": record.box},
    )


def _picture(folder: Path, image: str) -> Path:
    """The picture of a row; where its name leads out of the folder, the folder need not exist."""
    path = Path(image)
    return Path(os.path.normpath(folder.resolve() / path)) if ".." in path.parts else folder / path

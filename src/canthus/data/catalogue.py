"""All data sets that canthus reads, by name."""

import re
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path

from canthus.data.aflw import read_aflw, read_aflw19
from canthus.data.cofw import read_cofw, read_cofw68
from canthus.data.listed.landmarks_csv import read_csv, read_mapped, read_portraits
from canthus.data.listed.pictures import read_backdrops, read_fairface, read_pictures
from canthus.data.lp300w import read_300w_lp, read_aflw2000
from canthus.data.menpo2d import read_menpo2d
from canthus.data.menpo3d import read_menpo3d
from canthus.data.packed import read_packed
from canthus.data.pts_folder import read_pts_folder
from canthus.data.sample import Sample, hash_of
from canthus.data.views import read_fits, read_views
from canthus.data.vw300 import read_300vw
from canthus.data.w300 import read_300w, read_300w_private
from canthus.data.wflw import read_wflw
from canthus.data.xm2vts import read_xm2vts
from canthus.errors import DataError

Reader = Callable[..., Sequence[Sample]]
"""Reads a split of a set, given the folder of the set, the name of the split, and options."""
PART = re.compile(r"part-(\d+)-(\d+)")
"""Name of a part of a split by the hash of the identities, in per cent: part-0-80."""

DATASETS: dict[str, Reader] = {
    "300vw": read_300vw,
    "300w": read_300w,
    "300w-lp": read_300w_lp,
    "300w-private": read_300w_private,
    "aflw": read_aflw,
    "aflw19": read_aflw19,
    "aflw2000-3d": read_aflw2000,
    "aflw68": read_csv,
    "backdrops": read_backdrops,
    "cofw": read_cofw,
    "cofw68": read_cofw68,
    "csv": read_csv,
    "fairface": read_fairface,
    "fgnet68": read_mapped,
    "fits": read_fits,
    "helen68": read_csv,
    "infant68": read_csv,
    "london189": read_mapped,
    "menpo2d": read_menpo2d,
    "menpo3d": read_menpo3d,
    "packed": read_packed,
    "pictures": read_pictures,
    "portraits5": read_portraits,
    "pts": read_pts_folder,
    "scut86": read_mapped,
    "views": read_views,
    "wflw": read_wflw,
    "wild68": read_csv,
    "xm2vts": read_xm2vts,
    "ytf68": read_csv,
}


def open_set(name: str, root: Path, split: str, **options: str) -> Sequence[Sample]:
    """Read the samples of a set; pictures are read later, when they are needed.

    Args:
        name: Name of the set, a key of `DATASETS`, which is also the name of its folder. "reader:folder" gives another
            folder: "pts:my_faces" reads the .pts files in `root / "my_faces"`.
        root: The folder that contains the folders of the sets.
        split: Name of a split, as "test". "split/group" selects the samples of one group: "test/blur";
            "split/part-A-B" those whose identity has a hash from A to B per cent: "train/part-0-80". Several of them
            follow each other: "train/profile/part-0-80".
        options: Options of the reader, as `labels="reannotated"`.

    Raises:
        DataError: the set, split or group is not known, or files are missing or damaged.
    """
    reader = name.partition(":")[0]
    if reader not in DATASETS:
        raise DataError(f"no data set is called {reader!r}; canthus reads {', '.join(DATASETS)}")
    if unknown := [option for option in options if option not in options_of(reader)]:
        known = ", ".join(options_of(reader)) or "none"
        raise DataError(f"{name} has no option {unknown[0]!r}; its options are: {known}")
    split, *groups = split.split("/")
    samples = DATASETS[reader](folder_of(name, root), split, **options)
    for group in filter(None, groups):
        samples = subset(samples, group)
    return samples


def options_of(reader: str) -> list[str]:
    """Names of the options of a reader, a key of `DATASETS`."""
    return list(signature(DATASETS[reader]).parameters)[2:]


def folder_of(name: str, root: Path) -> Path:
    """The folder of a set: `root / name`, or `root / folder` for "reader:folder"."""
    reader, _, folder = name.partition(":")
    return root / (folder or reader)


def subset(samples: Sequence[Sample], group: str) -> list[Sample]:
    """The samples of a group, or of a part by the hash of their identities.

    Raises:
        DataError: no sample is in the group; the message lists the groups of the set.
    """
    read = list(samples)
    if part := PART.fullmatch(group):
        low, high = (int(limit) / 100 for limit in part.groups())
        return [sample for sample in read if low <= hash_of(sample.identity) < high]
    chosen = [sample for sample in read if group in sample.groups]
    if not chosen:
        known = ", ".join(sorted(set().union(*(sample.groups for sample in read)))) or "no groups"
        raise DataError(f"no sample is in the group {group!r}; this set has {known}")
    return chosen

"""Tracks as one .pts file per frame and face: 000012_3.pts holds track 3 in frame 12."""

from collections.abc import Iterable
from pathlib import Path

from canthus.formats import pts
from canthus.formats.record import Record
from canthus.formats.tracks.moment import Moment
from canthus.work.files import replace_whole


def dump(folder: Path, moments: Iterable[Moment]) -> None:
    """Write frames into a folder, which is created; each file is complete or does not exist.

    Raises:
        OutputError: a file cannot be written.
    """
    for moment in moments:
        for face in moment.faces:
            name = f"{moment.frame:06d}_{int(face.identity)}"
            with replace_whole(folder / f"{name}.pts", sync=False) as part:
                pts.dump(part, [Record(name, face.points)])

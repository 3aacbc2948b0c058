"""Who is measured how: a protocol is data, and a figure without its protocol is worth nothing.

`PROTOCOLS` names those of the five papers and of the benchmarks beside them; docs/evaluation.md tells their traps.
"""

from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args

from canthus.errors import CanthusError
from canthus.evaluate.metrics import NORMALISERS, Measure, Normaliser

Aggregation = Literal["images", "bins"]
Masking = Literal["all", "visible", "annotated"]
WFLW_SUBSETS = {"largepose": 326, "expression": 314, "illumination": 698, "makeup": 206, "occlusion": 736, "blur": 773}
"""Faces of each subset of its test set."""
YAW_BINS = (0.0, 30.0, 60.0, 90.0)
"""Edges of the three bins of |yaw| that the 3D papers report, in degrees."""


class ProtocolError(CanthusError, ValueError):
    """A protocol is unknown or contradicts itself, or the labels do not fit it."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a figure means.

    Attributes:
        name: Its name; a protocol that was changed says so.
        set: The data set, a key of the catalogue; empty = two files.
        subset: The set's split or part, as its reader calls it: "challenging", "test/blur".
        scheme: Landmark scheme of truth and predictions.
        part: Group of the scheme whose points count, as "inner" (51 of 68); empty = all.
        boxes: What every system is told of the face: "truth" (tightest box of its points), "set" (as distributed),
            "detector", a name of the set's own as "jitter", or empty: not controlled.
        normaliser: What the error is divided by.
        normaliser_box: Whose box "box" and "diagonal" measure: that of the true points, or the one of the set.
        threshold: Of AUC and failure, a fraction of the normaliser.
        aggregation: Whether the figure is the mean of images, or of the bins of |yaw|.
        bins: Edges of |yaw|, degrees, ascending; empty = none.
        mask: "all": every point is annotated and counts; "visible": those marked visible; "annotated": those that are.
        measure: Mean distance, or root of the mean square distance.
        dims: 2: the error in the picture, also of 3D points; 3: with depth.
        options: What the reader is asked for, where the set comes in several versions.
        faces: How many faces the set has; None = not fixed.
        source: Where the protocol is written.
        note: What to beware of.
    """

    name: str = "no named protocol"
    set: str = ""
    subset: str = "test"
    scheme: str = "68"
    part: str = ""
    boxes: str = ""
    normaliser: Normaliser = "inter-ocular"
    normaliser_box: Literal["points", "set"] = "points"
    threshold: float = 0.08
    aggregation: Aggregation = "images"
    bins: tuple[float, ...] = ()
    mask: Masking = "all"
    measure: Measure = "mean"
    dims: Literal[2, 3] = 2
    options: tuple[tuple[str, str], ...] = ()
    faces: int | None = None
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for field, value, known in (
            ("normaliser", self.normaliser, NORMALISERS),
            ("aggregation", self.aggregation, get_args(Aggregation)),
            ("mask", self.mask, get_args(Masking)),
            ("measure", self.measure, get_args(Measure)),
            ("dims", self.dims, (2, 3)),
        ):
            if value not in known:
                raise ProtocolError(f"{self.name}: {field} is one of {', '.join(map(str, known))}, not {value!r}")
        if not 0 < self.threshold < float("inf"):
            raise ProtocolError(f"{self.name}: the threshold is a fraction above 0, as 0.08, not {self.threshold}")
        if self.aggregation == "bins" and len(self.bins) < 2:
            raise ProtocolError(f"{self.name}: the mean of bins needs the edges of the bins, as (0, 30, 60, 90)")

    @classmethod
    def open(cls, name: str) -> "Protocol":
        """A protocol by name.

        Raises:
            ProtocolError: there is none; the message shows similar names.
        """
        if name in PROTOCOLS:
            return PROTOCOLS[name]
        near = [known for known in PROTOCOLS if name in known] or get_close_matches(name, PROTOCOLS, 4, 0.4)
        raise ProtocolError(f"no protocol is called {name!r}; did you mean {', '.join(near or PROTOCOLS)}?")

    def changed(self, **values: Any) -> Self:
        """The same with other fields; the name of a named one tells what differs."""
        values = {key: value for key, value in values.items() if value is not None and value != getattr(self, key)}
        told = ", ".join(f"{key} {value}" for key, value in values.items())
        name = f"{self.name} with {told}" if told and self.set else self.name
        return replace(self, name=name, **values)

    @property
    def unit(self) -> str:
        """What the error is divided by, in words."""
        box = "the true points" if self.normaliser_box == "points" else "the set"
        words = {"box": f"sqrt(w*h) of the box of {box}", "diagonal": f"the diagonal of the box of {box}"}
        return words.get(self.normaliser, f"the {self.normaliser} distance")

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """All that a reader must know to judge the figure, in one line."""
        asked = "".join(f", {key} {value}" for key, value in self.options)
        where = f"{self.set} {self.subset}{asked}" if self.set else "two files"
        points = f"scheme {self.scheme}" + (f", {self.part} points" if self.part else "")
        measure = "" if self.measure == "mean" else " (root mean square)"
        boxes = f"boxes: {self.boxes}" if self.boxes else "boxes not controlled"
        return (
            f"{where}; {points}; error over {self.unit}{measure}; {boxes}; threshold {self.threshold:g}; "
            f"mean of {self.aggregation}; {self.mask} points count"
        )


def _both_eyes(base: Protocol, ending: str = "") -> list[Protocol]:
    """One protocol under both normalisers, told by the ending of its name."""
    return [
        replace(base, name=f"{base.name}{ending}"),
        replace(base, name=f"{base.name}-interpupil", normaliser="inter-pupil"),
    ]


def _list() -> list[Protocol]:
    public = Protocol(
        set="300w", boxes="set", source="Sagonas et al. 2013; cascaded_cnn tables 5-7, coarse_to_fine table 2"
    )
    private = replace(public, set="300w-private", source="Sagonas et al. 2016; cascaded_cnn tables 6-7")
    cofw68 = Protocol(
        set="cofw68", boxes="set", threshold=0.1, faces=507, source="Ghiasi and Fowlkes 2014; score_guided section 4.4"
    )
    cofw29 = Protocol(
        name="cofw-29",
        set="cofw",
        scheme="29",
        boxes="set",
        threshold=0.1,
        faces=507,
        source="Burgos-Artizzu et al. 2013",
    )
    aflw2000 = Protocol(
        set="aflw2000-3d",
        boxes="truth",
        normaliser="box",
        threshold=0.07,
        bins=YAW_BINS,
        options=(("labels", "original"), ("yaw", "aflw")),
        faces=2000,
        source="Zhu et al. 2016; multi_view table I, local_global section 4.1",
        note="Two annotations and three yaws exist. The papers state no threshold; .07 is the custom since Bulat and "
        "Tzimiropoulos, 2017. The mean of bins is the overall figure of multi_view; local_global does not say.",
    )
    reannotated = replace(aflw2000, options=(("labels", "reannotated"), ("yaw", "aflw")))
    menpo2d = Protocol(
        set="menpo2d", boxes="detector", normaliser="diagonal", threshold=0.05, source="Zafeiriou et al. 2017"
    )
    menpo3d = Protocol(
        name="menpo3d-tracking",
        set="menpo3d",
        scheme="84",
        boxes="detector",
        normaliser="diagonal",
        measure="rms",
        source="Zafeiriou et al. 2017; multi_view table II",
        note="The paper does not state the threshold of its AUC; .08 is assumed. A lost frame is a failure.",
    )
    aflw = Protocol(
        name="aflw-21",
        set="aflw",
        subset="all",
        scheme="21",
        boxes="set",
        normaliser="box",
        normaliser_box="set",
        threshold=0.05,
        mask="annotated",
        source="Koestinger et al. 2011",
        note="Only visible points are annotated.",
    )
    aflw19 = replace(
        aflw,
        subset="full",
        scheme="19",
        threshold=0.07,
        mask="all",
        source="Zhu et al. 2016",
        note="Hidden points count, too; the box is AFLW's square one.",
    )
    video = Protocol(set="300vw", boxes="detector", source="Shen et al. 2015", note="A lost frame is a failure.")
    wflw = Protocol(set="wflw", scheme="98", boxes="set", threshold=0.1, source="Wu et al. 2018")
    wild = Protocol(
        name="wild68-test",
        set="wild68",
        boxes="tight",
        faces=224,
        source="LFPW test of 300-W",
        note="The complete LFPW test set as crops; published figures used the boxes of 300-W, not these.",
    )
    ytf = Protocol(
        name="ytf68-test",
        set="ytf68",
        boxes="tight",
        faces=490,
        source="frames of YouTube Faces",
        note="The labels are a network's output, about 3.5 % noise: differences under .2 % mean nothing.",
    )
    return [
        *(
            protocol
            for subset, faces in (("common", 554), ("challenging", 135), ("full", 689))
            for protocol in _both_eyes(
                replace(public, name=f"300w-{subset}", subset=subset, faces=faces), "-interocular"
            )
        ),
        *_both_eyes(replace(public, name="lfpw", subset="lfpw", faces=224)),
        *_both_eyes(replace(public, name="helen", subset="helen", faces=330)),
        *_both_eyes(replace(private, name="300w-private-indoor", subset="indoor", faces=300)),
        *_both_eyes(replace(private, name="300w-private-outdoor", subset="outdoor", faces=300)),
        *_both_eyes(replace(private, name="300w-private-both", faces=600)),
        *_both_eyes(replace(cofw68, name="cofw68-all")),
        *_both_eyes(
            replace(cofw68, name="cofw68-visible", mask="visible", note="The normaliser may use occluded eye corners.")
        ),
        *_both_eyes(cofw29),
        replace(aflw2000, name="aflw2000-3d-yawbins", aggregation="bins"),
        replace(aflw2000, name="aflw2000-3d-images"),
        replace(reannotated, name="aflw2000-3d-reannotated-yawbins", aggregation="bins"),
        replace(reannotated, name="aflw2000-3d-reannotated-images"),
        replace(menpo2d, name="menpo2d-semifrontal", subset="semifrontal", faces=5335),
        replace(
            menpo2d,
            name="menpo2d-profile-diagonal",
            subset="profile",
            scheme="39_left",
            faces=1946,
            note="Faces of both sides; the 39 points of the two are numbered alike.",
        ),
        menpo3d,
        aflw,
        replace(aflw19, name="aflw19-full", set="aflw19", faces=4386),
        replace(aflw19, name="aflw19-frontal", set="aflw19", subset="frontal"),
        *(replace(video, name=f"300vw-category{number}", subset=f"category{number}") for number in (1, 2, 3)),
        replace(wflw, name="wflw", faces=2500),
        *(replace(wflw, name=f"wflw-{subset}", subset=subset, faces=faces) for subset, faces in WFLW_SUBSETS.items()),
        Protocol(name="xm2vts", set="xm2vts", subset="all", boxes="truth", faces=2360, source="Messer et al. 1999"),
        wild,
        replace(wild, name="wild68-test-51", part="inner"),
        replace(wild, name="wild68-test-interpupil", normaliser="inter-pupil"),
        ytf,
        replace(ytf, name="ytf68-test-51", part="inner"),
    ]


PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _list()}
"""Every named protocol."""

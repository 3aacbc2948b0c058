"""Protocols: the rules by which landmarks are scored, as data. A figure means nothing without its protocol.

`PROTOCOLS` holds those of the five papers and of common benchmarks; docs/evaluation.md describes their pitfalls.
"""

from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args

from canthus.errors import CanthusError
from canthus.evaluate.metrics import NORMALISERS, Measure, Normaliser
from canthus.schemes.scheme import Scheme

Aggregation = Literal["images", "bins"]
Masking = Literal["all", "visible", "annotated"]
WFLW_SUBSETS = {"largepose": 326, "expression": 314, "illumination": 698, "makeup": 206, "occlusion": 736, "blur": 773}
"""Number of faces of each subset of the test set of WFLW."""
YAW_BINS = (0.0, 30.0, 60.0, 90.0)
"""Edges of the three bins of |yaw| that the 3D papers report, in degrees."""


class ProtocolError(CanthusError, ValueError):
    """A protocol is unknown or contradicts itself, or the labels do not fit it."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Rules of scoring.

    Attributes:
        name: Name of the protocol; the name of a changed protocol lists the changes.
        set: Name of the data set in the catalogue; empty = two files.
        subset: Split or part of the set, as its reader calls it: "challenging", "test/blur".
        scheme: Landmark scheme of truth and predictions.
        part: Group of the scheme that is scored, as "inner" (51 of 68 points); empty = all points.
        boxes: Face boxes that every system gets: "truth" (tightest box of the true points), "set" (as distributed),
            "detector", another name of boxes of the set as "jitter", or empty (not controlled).
        normaliser: Distance that errors are divided by.
        normaliser_box: Box that "box" and "diagonal" measure: that of the true points, or that of the set.
        threshold: Limit of the AUC, and error from which a face is a failure; a fraction of the normaliser.
        aggregation: Whether the figure is the mean over images, or over the bins of |yaw|.
        bins: Edges of the bins of |yaw|, degrees, ascending; empty = no bins.
        mask: Points that are scored: "all" (each must be annotated), "visible" (labelled so), or "annotated".
        measure: Mean distance, or root of the mean square distance.
        dims: Coordinates that are compared: 2 = in the picture, also for 3D points; 3 = with depth.
        options: Options for the reader, where the set exists in several versions.
        faces: Number of faces of the set; None = not fixed.
        source: Publication that defines the protocol.
        note: Warning about its pitfalls.
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
                raise ProtocolError(f"{self.name}: {field} must be one of {', '.join(map(str, known))}, not {value!r}")
        if not 0 < self.threshold < float("inf"):
            raise ProtocolError(f"{self.name}: the threshold must be a fraction above 0, as 0.08, not {self.threshold}")
        if self.aggregation == "bins" and len(self.bins) < 2:
            raise ProtocolError(f"{self.name}: a mean over bins needs the edges of the bins, as (0, 30, 60, 90)")

    @classmethod
    def open(cls, name: str) -> "Protocol":
        """A protocol by name.

        Raises:
            ProtocolError: no protocol has this name; the message shows similar names.
        """
        if name in PROTOCOLS:
            return PROTOCOLS[name]
        near = [known for known in PROTOCOLS if name in known] or get_close_matches(name, PROTOCOLS, 4, 0.4)
        raise ProtocolError(f"no protocol is called {name!r}; did you mean {', '.join(near or PROTOCOLS)}?")

    def changed(self, **values: Any) -> Self:
        """A copy with other fields, None = unchanged; the name of a named protocol then lists the changes.

        Raises:
            SchemeError: `scheme` is no landmark scheme, or its file is damaged.
        """
        if values.get("scheme") is not None:
            values["scheme"] = Scheme.open(values["scheme"]).name
        values = {key: value for key, value in values.items() if value is not None and value != getattr(self, key)}
        changes = ", ".join(f"{key} {value}" for key, value in values.items())
        name = f"{self.name} with {changes}" if changes and self.set else self.name
        return replace(self, name=name, **values)

    @property
    def unit(self) -> str:
        """The distance that errors are divided by, in words."""
        box = "the true points" if self.normaliser_box == "points" else "the set"
        words = {"box": f"sqrt(w*h) of the box of {box}", "diagonal": f"the diagonal of the box of {box}"}
        return words.get(self.normaliser, f"the {self.normaliser} distance")

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """All rules in one line."""
        asked = "".join(f", {key} {value}" for key, value in self.options)
        where = f"{self.set} {self.subset}{asked}" if self.set else "two files"
        points = f"scheme {self.scheme}" + (f", {self.part} points" if self.part else "")
        measure = "" if self.measure == "mean" else " (root mean square)"
        boxes = f"boxes: {self.boxes}" if self.boxes else "boxes not controlled"
        return (
            f"{where}; {points}; error over {self.unit}{measure}; {boxes}; threshold {self.threshold:g}; "
            f"mean of {self.aggregation}; {self.mask} points scored"
        )


def _both_eyes(base: Protocol, ending: str = "") -> list[Protocol]:
    """A protocol with each of the two eye distances as normaliser; the endings of their names tell them apart."""
    return [
        replace(base, name=f"{base.name}{ending}"),
        replace(base, name=f"{base.name}-interpupil", normaliser="inter-pupil"),
    ]


def _of_300w() -> list[Protocol]:
    public = Protocol(
        set="300w", boxes="set", source="Sagonas et al. 2013; cascaded_cnn tables 5-7, coarse_to_fine table 2"
    )
    private = replace(public, set="300w-private", source="Sagonas et al. 2016; cascaded_cnn tables 6-7")
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
    ]


def _of_cofw() -> list[Protocol]:
    in_68 = Protocol(
        set="cofw68", boxes="set", threshold=0.1, faces=507, source="Ghiasi and Fowlkes 2014; score_guided section 4.4"
    )
    in_29 = replace(in_68, name="cofw-29", set="cofw", scheme="29", source="Burgos-Artizzu et al. 2013")
    warning = "The normaliser may use occluded eye corners."
    return [
        *_both_eyes(replace(in_68, name="cofw68-all")),
        *_both_eyes(replace(in_68, name="cofw68-visible", mask="visible", note=warning)),
        *_both_eyes(in_29),
    ]


def _of_aflw2000() -> list[Protocol]:
    base = Protocol(
        set="aflw2000-3d",
        boxes="truth",
        normaliser="box",
        threshold=0.07,
        bins=YAW_BINS,
        options=(("labels", "original"), ("yaw", "aflw")),
        faces=2000,
        source="Zhu et al. 2016; multi_view table I, local_global section 4.1",
        note="Two annotations and three sets of yaw angles exist. The papers state no threshold; .07 is usual since "
        "Bulat and Tzimiropoulos, 2017. The overall figure of multi_view is the mean of the bins; local_global does "
        "not say which mean it reports.",
    )
    again = replace(base, options=(("labels", "reannotated"), ("yaw", "aflw")))
    return [
        replace(base, name="aflw2000-3d-yawbins", aggregation="bins"),
        replace(base, name="aflw2000-3d-images"),
        replace(again, name="aflw2000-3d-reannotated-yawbins", aggregation="bins"),
        replace(again, name="aflw2000-3d-reannotated-images"),
    ]


def _of_menpo() -> list[Protocol]:
    stills = Protocol(
        set="menpo2d", boxes="detector", normaliser="diagonal", threshold=0.05, source="Zafeiriou et al. 2017"
    )
    return [
        replace(stills, name="menpo2d-semifrontal", subset="semifrontal", faces=5335),
        replace(
            stills,
            name="menpo2d-profile-diagonal",
            subset="profile",
            scheme="39_left",
            faces=1946,
            note="Faces of both sides; the 39 points of both are numbered in the same way.",
        ),
        Protocol(
            name="menpo3d-tracking",
            set="menpo3d",
            scheme="84",
            boxes="detector",
            normaliser="diagonal",
            measure="rms",
            source="Zafeiriou et al. 2017; multi_view table II",
            note="The paper does not state the threshold of its AUC; .08 is assumed. A lost frame is a failure.",
        ),
    ]


def _of_aflw() -> list[Protocol]:
    in_21 = Protocol(
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
    in_19 = replace(
        in_21,
        set="aflw19",
        scheme="19",
        threshold=0.07,
        mask="all",
        source="Zhu et al. 2016",
        note="Hidden points are scored, too; the box is the square one of AFLW.",
    )
    return [
        in_21,
        replace(in_19, name="aflw19-full", subset="full", faces=4386),
        replace(in_19, name="aflw19-frontal", subset="frontal"),
    ]


def _others() -> list[Protocol]:
    video = Protocol(set="300vw", boxes="detector", source="Shen et al. 2015", note="A lost frame is a failure.")
    wflw = Protocol(set="wflw", scheme="98", boxes="set", threshold=0.1, source="Wu et al. 2018")
    return [
        *(replace(video, name=f"300vw-category{number}", subset=f"category{number}") for number in (1, 2, 3)),
        replace(wflw, name="wflw", faces=2500),
        *(replace(wflw, name=f"wflw-{subset}", subset=subset, faces=faces) for subset, faces in WFLW_SUBSETS.items()),
        Protocol(name="xm2vts", set="xm2vts", subset="all", boxes="truth", faces=2360, source="Messer et al. 1999"),
    ]


def _of_development_sets() -> list[Protocol]:
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
        note="The labels are the output of a network, with about 3.5 % noise: differences below .2 % mean nothing.",
    )
    return [
        wild,
        replace(wild, name="wild68-test-51", part="inner"),
        replace(wild, name="wild68-test-interpupil", normaliser="inter-pupil"),
        ytf,
        replace(ytf, name="ytf68-test-51", part="inner"),
    ]


GROUPS = (_of_300w, _of_cofw, _of_aflw2000, _of_menpo, _of_aflw, _others, _of_development_sets)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for group in GROUPS for protocol in group()}
"""Every named protocol."""

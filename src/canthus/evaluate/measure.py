"""From labels and predictions to a study: a model on a data set, or points that somebody else has predicted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from canthus.data.catalogue import open_set, options_of
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.evaluate.pairing import paired
from canthus.evaluate.protocol import PROTOCOLS, Protocol
from canthus.evaluate.report.study import Entry, Study
from canthus.evaluate.result import Labels
from canthus.evaluate.run import Peers, load_peers, predict
from canthus.evaluate.score import Missing, evaluate_points
from canthus.evaluate.table import Table, load_table, table_of_samples
from canthus.schemes.scheme import SCHEMES, Scheme
from canthus.types import FaceAligner

Changes = Mapping[str, str | float | None]
"""Fields of a protocol to change, by name; None = as it is."""


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Faces with their true points, and the protocol to score them by.

    Attributes:
        protocol: Scoring rules.
        truth: F faces.
        folder: Folder of all data sets; None = the faces come from a file.
    """

    protocol: Protocol
    truth: Table
    folder: Path | None = None

    @property
    def scheme(self) -> Scheme:
        """Landmark scheme of the points."""
        return Scheme.open(self.protocol.scheme)

    def peers(self, wanted: bool | None = None) -> Peers | None:
        """Points of other systems that come with the data set.

        Args:
            wanted: True = required, False = none, None = if there are any.

        Raises:
            DataError: they are required and missing, or they are not of these faces.
        """
        path = (self.folder or Path()) / self.protocol.set / f"{self.protocol.subset}_peers.npz"
        return load_peers(path, self.truth) if wanted or (wanted is None and path.is_file()) else None


def labelled_set(root: Path, data: str | None, split: str, protocol: str | None, changes: Changes) -> LabelledSet:
    """Open the labels of a data set with the protocol to score it by.

    Args:
        root: Folder of all data sets.
        data: Name of the set; None = that of the protocol.
        split: Split of the set; ignored where the protocol names the set.
        protocol: Name of a protocol; None = the first one of the set, or a plain one.
        changes: Fields of the protocol to change.

    Raises:
        ProtocolError: no protocol has this name, or a change contradicts it.
        DataError: the set is missing or damaged, or has no landmarks.
    """
    rules = Protocol.open(protocol) if protocol else Protocol()
    name, part = (data, split) if data else (rules.set, rules.subset)
    options, asked = dict(rules.options), changes.get("scheme")
    if asked and str(asked) not in SCHEMES and "scheme" in options_of(name.partition(":")[0]):
        options["scheme"] = str(asked)
    samples = open_set(name, root, part, **options)
    if samples and samples[0].scheme == NO_POINTS:
        raise DataError(f"{name} {part}: its pictures have no landmarks to compare with")
    rules = rules.changed(set=name, subset=part) if protocol else protocol_of(name, part, samples)
    rules = rules.changed(**changes)
    folder = root / (name.partition(":")[2] or name)
    return LabelledSet(rules, table_of_samples(samples, folder, Scheme.open(rules.scheme)), root)


def labelled_files(path: Path, protocol: str | None, changes: Changes) -> LabelledSet:
    """Open a file of true points with the protocol to score it by.

    Args:
        path: As for `load_table`.
        protocol: Name of a protocol; None = a plain one.
        changes: Fields of the protocol to change.

    Raises:
        ProtocolError: no protocol has this name, or a change contradicts it.
        CanthusError: the file cannot be read, or holds points of another scheme.
    """
    rules = (Protocol.open(protocol) if protocol else Protocol()).changed(**changes)
    return LabelledSet(rules, load_table(path, Scheme.open(rules.scheme)))


def protocol_of(name: str, subset: str, samples: Sequence[Sample]) -> Protocol:
    """The first named protocol of a data set, else a plain one: inter-ocular distance, threshold .08."""
    for protocol in PROTOCOLS.values():
        if (protocol.set, protocol.subset) == (name, subset):
            return protocol
    scheme = samples[0].scheme if samples else "68"
    return Protocol(name=f"{name} {subset}", set=name, subset=subset, scheme=scheme)


def sources_of(truth: Table, asked: str | None, protocol: Protocol) -> list[str]:
    """Names of the boxes to give to a model; the first ones decide the figure of the study.

    Args:
        truth: Faces with their boxes.
        asked: "true", "jitter", "both", the name of a box of the data set, or None = the default: true and jittered
            boxes where the set has both, else those of the protocol.
        protocol: Scoring rules.
    """
    true = "tight" if "tight" in truth.boxes else "truth"
    if asked is None:
        return [true, "jitter"] if "jitter" in truth.boxes else [protocol.boxes or true]
    return {"true": [true], "both": [true, "jitter"]}.get(asked, [asked])


def study_predictions(truth: Table, predictions: Table, protocol: Protocol, name: str, missing: Missing) -> Study:
    """Score predicted points of any origin.

    Args:
        truth: F faces.
        predictions: Predicted points, in any order when both tables name their images.
        protocol: Scoring rules.
        name: Name of the system that made the predictions.
        missing: What to do about a face without prediction.
    """
    found = paired(predictions, truth)
    result = evaluate_points(truth.points, found.points, protocol, _labels(truth, protocol), found.scores, missing)
    if protocol.boxes:
        unknown = f"Whether these predictions were made with the boxes of the protocol ({protocol.boxes}) is not known."
        result = replace(result, caveats=(*result.caveats, unknown))
    return Study(f"{name} on {protocol.set or 'given faces'}", truth, found, (Entry(name, "", result),))


def study_model(
    truth: Table,
    aligner: FaceAligner,
    protocol: Protocol,
    name: str,
    sources: Sequence[str],
    peers: Peers | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Study:
    """Run a model with each kind of boxes, one pass without mirror image, and score it beside other systems.

    Args:
        truth: F faces with pictures.
        aligner: The model.
        protocol: Scoring rules; `sources` replaces its boxes.
        name: Name of the model.
        sources: Names of the boxes to give to the model; the first ones decide the figure of the study.
        peers: Points of other systems.
        done: Called with the number of faces finished since the last call.
    """
    labels = _labels(truth, protocol)

    def entry(system: str, source: str, found: Table, mapped: bool = False) -> Entry:
        rules = protocol.changed(boxes=source)
        result = evaluate_points(truth.points, found.points, rules, labels, found.scores)
        distance = float("nan")
        if peers and peers.consensus is not None:
            distance = evaluate_points(peers.consensus, found.points, protocol).nme_images
        return Entry(system, source, result, mapped, distance)

    runs = {source: predict(aligner, truth, truth.box(source), done) for source in sources}
    entries = [entry(name, source, found) for source, found in runs.items()]
    for source in sources:
        for key, mapped in ((source, False), (f"{source}_mapped", True)):
            others = peers.points.get(key, {}) if peers else {}
            entries += [entry(system, source, Table(points), mapped) for system, points in others.items()]
    return Study(f"{name} on {protocol.set} {protocol.subset}", truth, runs[sources[0]], tuple(entries))


def _labels(truth: Table, protocol: Protocol) -> Labels:
    return truth.labels(Scheme.open(protocol.scheme), "set")

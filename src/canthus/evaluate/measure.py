"""From truth and predictions to a study: our model on a set, or anybody's points."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from canthus.data.sample import Sample
from canthus.evaluate.pairing import paired
from canthus.evaluate.protocol import PROTOCOLS, Protocol
from canthus.evaluate.report.study import Entry, Study
from canthus.evaluate.result import Labels
from canthus.evaluate.run import Peers, predict
from canthus.evaluate.score import Missing, evaluate_points
from canthus.evaluate.table import Table
from canthus.schemes.scheme import Scheme
from canthus.types import FaceAligner


def protocol_of(name: str, subset: str, samples: Sequence[Sample]) -> Protocol:
    """The first named protocol of a set, or the plain one of its samples' scheme: inter-ocular, threshold .08."""
    for protocol in PROTOCOLS.values():
        if (protocol.set, protocol.subset) == (name, subset):
            return protocol
    scheme = samples[0].scheme if samples else "68"
    return Protocol(name=f"{name} {subset}", set=name, subset=subset, scheme=scheme)


def sources_of(truth: Table, asked: str | None, protocol: Protocol) -> list[str]:
    """Which boxes to give to the model, the first being those of the figure.

    Args:
        truth: Has the boxes.
        asked: "true", "jitter", "both", the name of a box of the set, or None for what the set is measured with.
        protocol: Its boxes are the last resort.
    """
    true = "tight" if "tight" in truth.boxes else "truth"
    if asked is None:
        return [true, "jitter"] if "jitter" in truth.boxes else [protocol.boxes or true]
    return {"true": [true], "both": [true, "jitter"]}.get(asked, [asked])


def study_predictions(truth: Table, predictions: Table, protocol: Protocol, name: str, missing: Missing) -> Study:
    """Score anybody's points.

    Args:
        truth: F faces.
        predictions: In any order when both name their images.
        protocol: What the figure means.
        name: Of the system.
        missing: What to do about faces that were not found.
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
    """Run our model in each kind of boxes, one pass, and score it beside other systems.

    Args:
        truth: F faces with pictures.
        aligner: The model.
        protocol: What the figure means; its boxes are told by `sources`.
        name: Of the model.
        sources: Boxes to give to the model; the first are those of the figure.
        peers: Other systems' points.
        done: Told how many more faces are done.
    """
    labels = _labels(truth, protocol)

    def entry(system: str, source: str, found: Table, mapped: bool = False) -> Entry:
        told = protocol.changed(boxes=source)
        result = evaluate_points(truth.points, found.points, told, labels, found.scores)
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

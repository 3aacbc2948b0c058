"""A network in ONNX Runtime, the engine of canthus, on the CPU, in OpenVINO or on an NVIDIA GPU."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import onnxruntime
from numpy.typing import NDArray

from canthus.errors import BundleError, CanthusError
from canthus.runtime import cuda, openvino
from canthus.runtime.bundle import Bundle, Precision, StageCard
from canthus.runtime.external import refuse_external
from canthus.types import Floats

Device = Literal["cpu", "cuda", "openvino"]


Providers = list[tuple[str, dict[str, str]]]
"""Execution providers of a session with their options."""


def _cpu(settings: onnxruntime.SessionOptions, threads: int) -> Providers:
    """The provider that every ONNX Runtime has."""
    return [(CPU, {})]


CPU = "CPUExecutionProvider"
DEVICES: dict[str, tuple[str, Callable[[onnxruntime.SessionOptions, int], Providers | None]]] = {
    "cpu": (CPU, _cpu),
    "cuda": (cuda.PROVIDER, cuda.use),
    "openvino": (openvino.PROVIDER, openvino.use),
}
"""Execution provider of each device, and what prepares it: returns providers, or None if the settings hold them."""


def installed() -> list[str]:
    """Devices whose packages are installed; drivers are not checked."""
    there = {
        "cpu": True,
        "cuda": cuda.PROVIDER in onnxruntime.get_available_providers(),
        "openvino": openvino.installed(),
    }
    return [device for device in DEVICES if there[device]]


PICTURES = "tensor(uint8)"
"""Type of the inputs that are pictures."""
Value = TypeVar("Value")
_APART = "card and network may not belong together"


class Session:
    """One network in ONNX Runtime; a `Backend` that several threads may use at once."""

    def __init__(self, model: bytes, device: Device = "cpu", threads: int = 1, skip: Collection[str] = ()) -> None:
        """Load a network.

        Args:
            model: ONNX bytes.
            device: Processor or engine that runs it: "cpu", "cuda" or "openvino".
            threads: Number of CPU threads; 0 = all cores.
            skip: Names of outputs that are not wanted; a network need not have them.

        Raises:
            CanthusError: the device cannot be used here, or the number of threads is negative.
            BundleError: the bytes are not a network that ONNX Runtime can load.
        """
        if device not in DEVICES:
            raise CanthusError(f"no device is called {device!r}; there are {', '.join(DEVICES)}")
        if threads < 0:
            raise CanthusError(f"the number of threads is at least 1, or 0 = all cores, not {threads}")
        refuse_external(model)
        self._session = self._single = _load(model, device, threads, {})
        try:
            self._inputs = [_port(given) for given in self._session.get_inputs()]
            every = [_port(output) for output in self._session.get_outputs()]
            self._outputs = [port for port in every if port.name not in skip]
            batch = self._inputs[0].shape[0]
        except (UnicodeDecodeError, IndexError) as error:
            raise BundleError(f"the inputs or outputs of the network are damaged: {error}; export it again") from error
        if device == "openvino" and isinstance(batch, str):  # it is up to a fifth faster where the batch is known
            self._single = _load(model, device, threads, {batch: 1})

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`.

        Raises:
            BundleError: the network does not take such inputs, or fails; an output that it lacks raises on access.
        """
        if len(inputs) != len(self._inputs):
            raise BundleError(f"the network takes {len(self._inputs)} inputs, not {len(inputs)}; {_APART}")
        session = self._single if len(inputs[0]) == 1 else self._session
        given = {port.name: array for port, array in zip(self._inputs, inputs, strict=True)}
        names = [port.name for port in self._outputs]
        try:
            results = session.run(names, given)
        except Exception as error:  # the engine's own exceptions share no base class
            raise BundleError(f"ONNX Runtime cannot run the network: {error}; {_APART}, or memory ran out") from error
        return Named(zip(names, results, strict=True), lack=f"{_APART}: the network has no output")

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that it gives."""
        return [port.name for port in self._outputs]

    def misfit(self, stage: StageCard) -> str:
        """What the inputs and outputs of the network contradict in the card of its stage; empty = nothing."""
        crop = stage.crop
        for given in self._inputs:
            sides = given.shape[1:3]
            if given.kind == PICTURES and crop and any(isinstance(side, int) and side != crop.size for side in sides):
                return f"takes pictures of {sides[0]} x {sides[1]} pixels, but the card gives crops of {crop.size}"
        wanted: dict[str, list[tuple[int, ...]]] = {"points": [(stage.points, 2), (stage.points, 3)], "pose": [(3,)]}
        for output in self._outputs:
            shape = output.shape[1:]
            known = all(isinstance(axis, int) for axis in shape)
            if known and output.name in wanted and shape not in wanted[output.name]:
                return f"gives {output.name} of shape {shape} per face, but the card {wanted[output.name][0]}"
        return ""


class _Port(NamedTuple):
    """An input or output of a network; an axis whose length is open has a name, or None."""

    name: str
    kind: str
    shape: tuple[Any, ...]


def _port(port: Any) -> _Port:
    return _Port(port.name, port.type, tuple(port.shape))


class Named(dict[str, Value]):
    """Parts of a bundle by name; one that it lacks is an error of the bundle."""

    def __init__(self, parts: Iterable[tuple[str, Value]], lack: str) -> None:
        """Take the parts.

        Args:
            parts: Name and value of each part.
            lack: What the error says before the name of a part that is not there.
        """
        super().__init__(parts)
        self.lack = lack

    def __missing__(self, name: str) -> Value:
        raise BundleError(f"{self.lack} {name!r}, only {', '.join(self) or 'none'}; export the checkpoint again")


def open_network(
    bundle: Bundle,
    stage: StageCard,
    name: str,
    precision: Precision = "fp32",
    device: Device = "cpu",
    threads: int = 1,
    skip: Collection[str] = (),
) -> Session:
    """Load a network of a bundle.

    Args:
        bundle: The bundle.
        stage: Card of a stage.
        name: Name of a network of the stage.
        precision: "fp32" or "int8".
        device: Where it runs.
        threads: Threads of the engine on the CPU; 0 = all cores.
        skip: Names of outputs that are not wanted.

    Raises:
        CanthusError: this installation of ONNX Runtime cannot use the device, or the number of threads is negative.
        BundleError: there is no such network, it cannot be loaded, or it contradicts the card.
    """
    model = bundle.network(name, precision)
    try:
        session = Session(model, device, threads, skip)
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {name}: {error}") from error
    if misfit := session.misfit(stage):
        raise BundleError(f"{bundle.path}: the network {name!r} {misfit}; export the checkpoint again")
    return session


def _load(model: bytes, device: str, threads: int, sizes: Mapping[str, int]) -> onnxruntime.InferenceSession:
    """A session on a device, in which dimensions of the inputs may be fixed by name."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4 if device == "cpu" else 3  # on the CPU, what goes wrong is in the exception
    for dimension, size in sizes.items():
        settings.add_free_dimension_override_by_name(dimension, size)
    provider, prepare = DEVICES[device]
    providers, fallback = prepare(settings, threads), int(device != "cpu")
    try:
        session = onnxruntime.InferenceSession(model, settings, providers=providers, enable_fallback=fallback)
    except Exception as error:  # the engine's own exceptions share no base class
        raise BundleError(f"ONNX Runtime cannot load the network: {error}") from error
    if provider not in session.get_providers():
        raise CanthusError(f"ONNX Runtime could not start {provider} (device {device!r}); the reason is on stderr")
    return session

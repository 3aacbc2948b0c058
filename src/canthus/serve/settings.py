"""What a server is told: its models, its token and its limits. Processes of several workers get a copy."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from canthus.reader.parse import MAX_PIXELS
from canthus.runtime.bundle import Precision
from canthus.runtime.session import Device

MEGABYTE = 1_000_000


class Settings(BaseModel):
    """Settings of a server process.

    Attributes:
        model: Bundle of the landmark model; None = the default model of the package.
        precision: Precision of the landmark model.
        device: Processor or engine that runs the networks.
        threads: Number of CPU threads of each network; 0 = all cores.
        page: Folder that is served at /; None = a line of text that names the addresses.
        token: Secret that requests must carry; None = none is asked for.
        max_mb: Largest body of a request, and largest frame of a stream, in megabytes.
        max_pixels: Largest picture in pixels.
        max_faces: Largest number of faces in an answer, most confident first.
        max_queue: Largest number of requests that wait for an answer; more get 503.
        max_per_client: Largest number of requests and streams of one address at a time; more get 429.
        max_streams: Largest number of streams at a time; more get 503.
        timeout: Longest time for a request to arrive, and for it to be answered, in seconds.
        join: Largest number of pictures that go through the networks together; 1 = each alone.
        wait: Longest time for which a picture waits for others that are arriving, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path | None = None
    precision: Precision = "fp32"
    device: Device = "cpu"
    threads: int = Field(1, ge=0)
    page: Path | None = None
    token: str | None = Field(None, min_length=1, repr=False)
    max_mb: float = Field(20.0, gt=0)
    max_pixels: int = Field(40_000_000, ge=1, le=MAX_PIXELS)
    max_faces: int = Field(100, ge=1)
    max_queue: int = Field(64, ge=1)
    max_per_client: int = Field(16, ge=1)
    max_streams: int = Field(16, ge=1)
    timeout: float = Field(20.0, gt=0)
    join: int = Field(8, ge=1)
    wait: float = Field(0.003, ge=0)

    @property
    def max_bytes(self) -> int:
        """Largest body of a request in bytes."""
        return round(self.max_mb * MEGABYTE)

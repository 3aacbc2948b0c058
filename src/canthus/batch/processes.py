"""The engine of a batch that needs nothing but this machine: processes with one thread each."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from canthus.batch.plan import Part, Plan
from canthus.batch.workshop import Workshop
from canthus.work.crew import KilledError, Report, spread


@dataclass(frozen=True)
class Processes:
    """Processes that each hold the networks, and write the tables of one part after the other.

    Attributes:
        workers: Largest number of processes.
    """

    workers: int

    def make(
        self, workshop: Workshop, plan: Plan, parts: Sequence[Part], report: Report
    ) -> Generator[tuple[Part, bool], None, None]:
        """Make parts; `run.Engine` explains it.

        Raises:
            CanthusError: a part cannot be made.
        """
        jobs = (workshop.job(plan, part) for part in parts)
        with closing(spread(jobs, self.workers, watch=report)) as ended:
            for place, answer in ended:
                if isinstance(answer, Exception) and not isinstance(answer, KilledError):
                    raise answer
                yield parts[place], not isinstance(answer, KilledError)

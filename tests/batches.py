"""An engine and a workshop of batches for tests."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from canthus.batch.inputs import Entry
from canthus.batch.plan import Part, Plan
from canthus.batch.workshop import Workshop
from canthus.work.crew import Report


@dataclass(frozen=True)
class Mined(Workshop):
    """Pictures called "deadly" end the process that works on them, and those called "slow" take long."""

    def make(self, part: Part, entries: list[Entry], report: Report) -> int:
        if any("deadly" in entry.path for entry in entries):
            os._exit(9)
        if any("slow" in entry.path for entry in entries):
            time.sleep(60)
        return super().make(part, entries, report)


@dataclass
class Here:
    """An engine in this process; makes parts in reverse. Those in `deadly`, and pieces of theirs, are lost."""

    deadly: Callable[[Part], bool] = lambda part: False
    made: list[str] = field(default_factory=list)

    def make(
        self, workshop: Workshop, plan: Plan, parts: Sequence[Part], report: Report
    ) -> Generator[tuple[Part, bool], None, None]:
        for part in reversed(parts):
            if self.deadly(part):
                yield part, False
                continue
            workshop.make(part, plan.entries(part), report)
            self.made.append(part.name)
            yield part, True

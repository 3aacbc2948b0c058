"""Samples that are read when they are asked for: a set of 100,000 label files opens at once and fits any memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from canthus.data.sample import Sample

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Lazy(Sequence[Sample], Generic[Key]):
    """A sequence of samples; each access reads the labels anew.

    Attributes:
        keys: What tells the samples apart, as a tuple of paths.
        load: From a key to its sample; a function of a module, so that worker processes can be sent it.
    """

    keys: Sequence[Key]
    load: Callable[[Key], Sample]

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Lazy[Key]": ...
    def __getitem__(self, index: int | slice) -> "Sample | Lazy[Key]":
        """One sample by number, or some of them by slice."""
        return Lazy(self.keys[index], self.load) if isinstance(index, slice) else self.load(self.keys[index])

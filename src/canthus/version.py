"""The version of canthus, apart from the facade so that every module may name it."""

__version__ = "0.1.0"

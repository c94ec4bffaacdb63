"""Doors: a package that loads its rooms when they are asked for, and shows what is ours and nothing else."""

import importlib
import sys
from types import ModuleType

__all__ = ["open_door"]


class _Door(ModuleType):
    """A package whose ``__all__`` names rooms, and where other names are found (``_FOUND_IN``)."""

    def __getattr__(self, name: str) -> object:
        if name not in self.__all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if room := self.__dict__.get("_FOUND_IN", {}).get(name):
            return getattr(importlib.import_module(f"{self.__name__}.{room}"), name)
        return importlib.import_module(f"{self.__name__}.{name}")

    def __dir__(self) -> list[str]:
        return list(self.__all__)

    def __setattr__(self, name: str, value: object) -> None:
        """Let a room that Python has just loaded show its ``__all__`` alone, not what it imports."""
        if isinstance(value, ModuleType) and not isinstance(value, _Door):
            value.__dict__.setdefault("__dir__", lambda: list(value.__all__))
        super().__setattr__(name, value)


def open_door(package: str) -> None:
    """Make a package, named by its ``__name__``, a door."""
    sys.modules[package].__class__ = _Door

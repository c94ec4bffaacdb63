"""Doors: packages that load a room when it is asked for, and where Tab shows what is ours and nothing else."""

import importlib
import sys
from types import ModuleType

__all__ = ["open_door"]


# In a door every room that is loaded, by whatever import, shows its ``__all__`` alone.  Nothing else is overridden:
# IPython completes ``lumbo.films.`` only where a module looks names up as usual; and what IPython shows of ``lumbo?``
# is the docstring of the package, so the class has none.
class _Door(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        """Python hands a package each room that it has loaded."""
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}":
            value.__dict__.setdefault("__dir__", lambda: list(value.__all__))
        super().__setattr__(name, value)


def open_door(package: str, **found_in: str) -> None:
    """Make a package, named by its ``__name__``, a door to the rooms in its ``__all__``.

    found_in : by name, the room that holds what the package offers under that name itself
    """
    door = sys.modules[package]

    def load(name: str) -> object:
        """Find what the package does not hold yet: a room, or a name that stands in one."""
        if name in found_in:
            return getattr(importlib.import_module(f"{package}.{found_in[name]}"), name)
        if name in door.__all__:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=door)

    door.__class__ = _Door
    door.__dict__.update(__getattr__=load, __dir__=lambda: list(door.__all__))

"""Helpers for *lumbo*, a book that rebuilds federated lumbopelvic measurement.

Import the module you need, for example ``from lumbo import angles``; each module
names the chapter that teaches it.  Not for clinical use.
"""

__version__ = "0.1.0"

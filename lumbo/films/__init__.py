"""A population becomes films with known angles.  Part one of the book.

The rooms stand in the order in which data passes: each imports only from those before it.
"""

from lumbo._doors import open_door

__all__ = ["populations", "anatomy", "shapes", "raster", "radiograph", "hospitals", "archive", "calibration"]
open_door(__name__)

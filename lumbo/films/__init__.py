"""A population becomes films with known angles.  Part one of the book.

populations : cohort statistics become patients, as numbers
anatomy : patients become spines, in millimetres
shapes : spines become solids
raster : solids become paths of rays
radiograph : rays become films: exposure, scatter, noise, processing
hospitals : specifications become sets of films, with splits and raters
archive : films as PNG and DICOM, out and in
calibration : films beside real ones

A room imports only from those before it.
"""

from lumbo import _doors

__all__ = ["populations", "anatomy", "shapes", "raster", "radiograph", "hospitals", "archive", "calibration"]
_doors.open_door(__name__)

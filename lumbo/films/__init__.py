"""A population becomes films with known angles.  Part one of the book.

populations : cohort statistics become patients, as numbers
variety : how much everything else differs, and one dial
anatomy : patients become spines, in millimetres
shapes : the solids that stand for a patient
vertebrae : spines become vertebral bodies, their arches, and ribs
pelvis : spines become sacrum, iliac wings and hips
metal : what surgeons put into a spine
bones : all of these
tissue : spines become trunk, bowel and all else that is soft
raster : solids become paths of rays
radiograph : rays become counts on a detector
processing : counts become films
hospitals : specifications become sets of films, with splits and raters
archive : films as PNG and DICOM, out and in
plates : how plates and vertebrae show on a film
calibration : films beside real ones

A room imports only from those before it.
"""

from lumbo import _doors

__all__ = [
    "populations",
    "variety",
    "anatomy",
    "shapes",
    "vertebrae",
    "pelvis",
    "metal",
    "bones",
    "tissue",
    "raster",
    "radiograph",
    "processing",
    "hospitals",
    "archive",
    "plates",
    "calibration",
]
_doors.open_door(__name__)

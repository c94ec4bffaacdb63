"""Films 1.0, as they were drawn for the stored run, the shipped weights and the chapters film_to_angles to experiment.

Frozen: this wing goes, and ``data_synth/films_1`` with it, when the experiment has been run again on films 2.0.

populations : cohort statistics become patients, as numbers
anatomy : patients become spines, in millimetres
shapes : spines become solids
raster : solids become paths of rays
radiograph : rays become films
hospitals : specifications become sets of films
"""

from lumbo import _doors

__all__ = ["populations", "anatomy", "shapes", "raster", "radiograph", "hospitals"]
_doors.open_door(__name__)

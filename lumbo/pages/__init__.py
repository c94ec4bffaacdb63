"""What the pages show: figures, still and living, and questions that answer back.

figures : arrays become figures of matplotlib
living : what living figures share: with a kernel and without, data on demand
posture : `Pelvis`, a patient to turn and to drag
marking : `Measure`, a film to put six points on
slips : `ErrorCloud`, what millimetres at a corner do to degrees
crowd : `Population`, means and correlations as spines
darkroom : `Film`, what exposure and processing do to one patient's film
scanners : `Hospitals`, one patient in every room, and one factor of variety at a time
exercises : `Exercise`, a question that says right, wrong with a hint, or not yet
"""

from lumbo import _doors

__all__ = [
    "figures",
    "living",
    "posture",
    "marking",
    "slips",
    "crowd",
    "darkroom",
    "scanners",
    "exercises",
]
_doors.open_door(
    __name__,
    Pelvis="posture",
    Measure="marking",
    ErrorCloud="slips",
    Population="crowd",
    Film="darkroom",
    Hospitals="scanners",
    Exercise="exercises",
)

"""What the pages show: figures, still and living, and questions that answer back.

figures : arrays become figures of matplotlib
living : what living figures share: with a kernel and without, data on demand
exercises : a question that says right, wrong with a hint, or not yet: `Exercise`
posture : a patient to turn and to drag: `Pelvis`
marking : a film to put six points on: `Measure`
slips : what millimetres at a corner do to degrees: `ErrorCloud`
crowd : means and correlations as spines: `Population`
darkroom : what exposure and processing do to one patient's film: `Film`
scanners : one patient in every room, and one factor of variety at a time: `Hospitals`
"""

from lumbo import _doors

__all__ = [
    "figures",
    "living",
    "exercises",
    "posture",
    "marking",
    "slips",
    "crowd",
    "darkroom",
    "scanners",
]
_doors.open_door(
    __name__,
    Exercise="exercises",
    Pelvis="posture",
    Measure="marking",
    ErrorCloud="slips",
    Population="crowd",
    Film="darkroom",
    Hospitals="scanners",
)

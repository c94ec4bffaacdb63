"""From spines to all bones as solids, and the metal in them.  Taught in spine_to_film."""

import numpy as np

from lumbo.films import metal, pelvis, vertebrae
from lumbo.films.anatomy import Spines
from lumbo.films.shapes import Solid
from lumbo.films.variety import Variety

__all__ = ["skeleton"]


def skeleton(spines: Spines, implanted: np.ndarray, vary: Variety) -> list[Solid]:
    """List the bones of each patient and the metal in them, groups of similar size together.

    Parameters
    ----------
    spines : `n` spines
    implanted : (n,) bool, who carries pedicle screws, rods and a cage
    """
    return [
        *vertebrae.bodies(spines, vary),
        *pelvis.sacrum(spines, vary),
        *vertebrae.arches(spines, vary),
        *pelvis.hips(spines, vary),
        *pelvis.wings(spines, vary),
        vertebrae.ribs(spines, vary),
        *metal.implants(spines, implanted, vary),
    ]

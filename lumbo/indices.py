"""Indices of sagittal alignment that the literature derives from SS, PT, PI and LL.  Not for clinical use.

`angles` is what `lumbo.angles.lumbopelvic_angles` returns for a standing film: an array or tensor of shape
(..., 4), SS PT PI LL in degrees.  Arrays give float64, tensors give tensors that can be differentiated
(float32 stays).  `InputError` names an angle that is not finite, such as NaN, or beyond 360 degrees.

A category is a whole number, the place of its name: ``np.array(ROUSSOULY_GROUPS)[group]``.  A border belongs
to the category that the literature prints it with.  GAP prints rounded ranges ("-15 to -7.1", "-7 to 5"; "40
to 49", "50 to 80").  We round nothing: the upper range begins at its border, so -7.05 is still moderate.
"""

import math

import numpy as np

from lumbo.angles import ANGLES, LANDMARKS, hip_axis, library, lumbopelvic_angles, s1_midpoint
from lumbo.errors import InputError, array, number, require

__all__ = [
    "SCHWAB_MODIFIERS", "SCHWAB_BORDERS", "GAP_CATEGORIES", "GAP_BORDERS", "ROUSSOULY_GROUPS",
    "ROUSSOULY_BORDERS", "pi_ll_mismatch", "l1_tilt", "sacrofemoral_ratio", "schwab_modifiers",
    "relative_pelvic_version", "relative_lumbar_lordosis", "lordosis_distribution_index", "gap_categories",
    "roussouly", "roussouly_shares",
]  # fmt: skip

SCHWAB_MODIFIERS = ("0", "+", "++")
SCHWAB_BORDERS = {"PT": (20.0, 30.0), "PI-LL": (10.0, 20.0)}  # degrees
GAP_CATEGORIES = {
    "RPV": ("severe retroversion", "moderate retroversion", "aligned", "anteversion"),
    "RLL": ("severe hypolordosis", "moderate hypolordosis", "aligned", "hyperlordosis"),
    "LDI": ("severe hypolordotic", "moderate hypolordotic", "aligned", "hyperlordotic"),  # maldistribution
}
GAP_BORDERS = {"RPV": (-15.0, -7.0, 5.0), "RLL": (-25.0, -14.0, 11.0), "LDI": (40.0, 50.0, 80.0)}
ROUSSOULY_GROUPS = ("1 or 2", "3", "4")
ROUSSOULY_BORDERS = (35.0, 45.0)  # degrees of SS
_LARGEST_DEG = 360.0  # PI and LL are sums of two angles of at most 180
_LEAST_LL_DEG = 1.0  # a lordosis that can be shared out: our limit, not the literature's


def pi_ll_mismatch(angles):
    """Return PI - LL in degrees, shape (...): positive where there is less lordosis than incidence.

    angles : array or tensor, shape (..., 4); `InputError` for others

    Schwab et al., Spine 2012;37:1077-82.  Not a target for one person: in healthy people LL spreads by 8 to 9
    degrees about what PI predicts, with a slope near 0.6, not 1.
    """
    degrees = _checked(angles)
    return degrees[..., 2] - degrees[..., 3]


def l1_tilt(angles):
    """Return how far the upper plate of L1 leans from the horizontal in degrees, shape (...): LL - SS.

    angles : array or tensor, shape (..., 4); `InputError` for others

    The upper arm of the Cobb angle LL (Cobb, Instr Course Lect 1948;5:261-75), positive where the front edge
    is higher.  Also called L1 slope.  Not the lean of the line from the hip axis to L1, and not for grading.
    """
    degrees = _checked(angles)
    return degrees[..., 3] - degrees[..., 0]


def sacrofemoral_ratio(landmarks, anterior=None):
    """Return the sacrofemoral distance over the length of the S1 plate, both on the film, shape (...).

    Parameters
    ----------
    landmarks, anterior : as for `lumbo.angles.lumbopelvic_angles`, which says what raises `InputError`

    Notes
    -----
    The distance is the horizontal one from the hip axis, midway between the head centres, to the *posterior*
    corner of S1, positive where the corner lies behind (Barrey et al., Eur Spine J 2007;16:1459-67).  The
    middle of S1 lies leg * sin PT behind the hip axis, the corner half a plate * cos SS behind the middle.
    Some authors measure to the middle.  The plate as the unit is our choice, free of the film's scale.  Not
    for comparison with published values: those are in mm, or divide the offset of C7 by this distance.
    """
    degrees = lumbopelvic_angles(landmarks, anterior)
    if isinstance(degrees, np.ndarray):
        points = array("landmarks", landmarks, ("...", len(LANDMARKS), 2), missing=True)
    else:
        points = landmarks.to(degrees)
    xp, radians = library(degrees), degrees * (math.pi / 180)
    plate = points[..., 0, :] - points[..., 1, :]
    leg = s1_midpoint(points) - hip_axis(points)
    leg_in_plates = xp.hypot(leg[..., 0], leg[..., 1]) / xp.hypot(plate[..., 0], plate[..., 1])
    return leg_in_plates * xp.sin(radians[..., 1]) + xp.cos(radians[..., 0]) / 2


def schwab_modifiers(angles):
    """Return the SRS-Schwab modifiers of PT and of PI - LL, shape (..., 2), in whole numbers.

    angles : array or tensor, shape (..., 4); `InputError` for others

    PT below 20 degrees is 0, 20 to 30 is +, above is ++; so is PI - LL at 10 and 20 (Schwab et al., Spine
    2012;37:1077-82).  Not for screening, nor for the young: they grade adults with a deformity, together with
    the SVA, which no lumbar film shows.

    >>> schwab_modifiers([30, 25, 55, 34]).tolist()
    [1, 2]
    """
    pt, pi_ll = _checked(angles)[..., 1], pi_ll_mismatch(angles)
    grades = [_category(pt, SCHWAB_BORDERS["PT"]), _category(pi_ll, SCHWAB_BORDERS["PI-LL"])]
    return library(pt).stack(grades, -1)


def relative_pelvic_version(angles):
    """Return RPV in degrees, shape (...): SS minus GAP's ideal SS, 0.59 PI + 9.  Negative in retroversion.

    angles : array or tensor, shape (..., 4); `InputError` for others

    Yilgor et al., J Bone Joint Surg Am 2017;99:1661-72.  Not for screening, nor for the young: GAP foretells
    mechanical complications after surgery of adult deformity, and later studies disagree how well.
    """
    degrees = _checked(angles)
    return degrees[..., 0] - (0.59 * degrees[..., 2] + 9)


def relative_lumbar_lordosis(angles):
    """Return RLL in degrees, shape (...): LL minus GAP's ideal LL, 0.62 PI + 29.  Negative in hypolordosis.

    angles : array or tensor, shape (..., 4); `InputError` for others

    Yilgor et al., J Bone Joint Surg Am 2017;99:1661-72.  Not for screening, nor for the young, as RPV.
    """
    degrees = _checked(angles)
    return degrees[..., 3] - (0.62 * degrees[..., 2] + 29)


def lordosis_distribution_index(angles, l4_tilt):
    """Return LDI in percent, shape (...): the lordosis from L4 to S1, SS + L4 tilt, as a share of LL.

    Parameters
    ----------
    angles : array or tensor, shape (..., 4)
    l4_tilt : a number for all, or an array or tensor, shape (...)
        Lean of the upper plate of L4 from the horizontal in degrees, positive where the front edge is higher.

    Raises
    ------
    InputError
        Other angles, another number of tilts, or an LL below 1 degree: a flat back has nothing to share out.

    Notes
    -----
    Yilgor et al., J Bone Joint Surg Am 2017;99:1661-72.  Not for screening, nor for films taken lying down.

    >>> float(lordosis_distribution_index([40, 15, 55, 60], -4))
    60.0
    """
    degrees = _checked(angles)
    ss, ll = degrees[..., 0], degrees[..., 3]
    _refuse("angles.LL", ll, ll < _LEAST_LL_DEG, f"a lordosis of at least {_LEAST_LL_DEG:g} degree for LDI")
    return 100 * (ss + _tilts(l4_tilt, degrees)) / ll


def gap_categories(angles, l4_tilt=None):
    """Return the GAP categories of RPV and RLL, shape (..., 2), and of LDI where L4 is given, (..., 3).

    angles, l4_tilt : as for `lordosis_distribution_index`, also what raises `InputError`

    Whole numbers, by `GAP_BORDERS` (Yilgor et al., J Bone Joint Surg Am 2017).  Not for screening, and no GAP
    score: that needs age and the global tilt as well, which no lumbar film shows.
    """
    values = {"RPV": relative_pelvic_version(angles), "RLL": relative_lumbar_lordosis(angles)}
    if l4_tilt is not None:
        values["LDI"] = lordosis_distribution_index(angles, l4_tilt)
    grades = [_category(value, GAP_BORDERS[name]) for name, value in values.items()]
    return library(values["RPV"]).stack(grades, -1)


def roussouly(angles):
    """Return the group of Roussouly's types that SS leaves open, and how far SS is from the nearest border.

    angles : array or tensor, shape (..., 4); `InputError` for others
    returns : whole numbers for `ROUSSOULY_GROUPS`, shape (...); degrees, shape (...), never negative

    SS below 35 degrees is type 1 or 2, which the apex of the lordosis tells apart, not SS; 35 to 45 is type
    3, above is type 4 (Roussouly et al., Spine 2005;30:346-53).  Not for diseased or fused spines.
    """
    ss = _checked(angles)[..., 0]
    low, high = ROUSSOULY_BORDERS
    return _category(ss, ROUSSOULY_BORDERS), library(ss).minimum(abs(ss - low), abs(ss - high))


def roussouly_shares(angles, sd_deg):
    """Return the share of each of `ROUSSOULY_GROUPS`, shape (..., 3), when SS is measured with an error.

    angles : array or tensor, shape (..., 4); `InputError` for others
    sd_deg : a number from 0.01 to 90, the SD of the error of SS in degrees

    The shares of a normal distribution about SS that lie in each group; they sum to 1 (borders of Roussouly
    et al., Spine 2005).  Not a patient's chances: how common the types are, and raters' bias, do not enter.

    >>> roussouly_shares([35, 15, 50, 55], 3).round(3).tolist()
    [0.5, 0.5, 0.0]
    """
    ss, sd = _checked(angles)[..., 0], number("sd_deg", sd_deg, 0.01, 90)
    low, high = ROUSSOULY_BORDERS
    above_low, above_high = _normal_tail((low - ss) / sd), _normal_tail((high - ss) / sd)
    return library(ss).stack([_normal_tail((ss - low) / sd), above_low - above_high, above_high], -1)


def _checked(angles):
    """Return angles as an array or tensor of floats, or say what is wrong with them."""
    found = array("angles", angles, ("...", len(ANGLES)), missing=True)  # looks at tensors, too
    for name, values in zip(ANGLES, np.moveaxis(found, -1, 0)):
        allowed = f"a finite number from {-_LARGEST_DEG:g} to {_LARGEST_DEG:g}"
        _refuse(f"angles.{name}", values, ~(abs(values) <= _LARGEST_DEG), allowed)
    torch = library(angles)
    if torch is np:
        return found
    return angles if angles.dtype in (torch.float32, torch.float64) else angles.double()


def _tilts(l4_tilt, degrees):
    """Return the tilts of L4 as floats of the kind that the angles are."""
    found = array("l4_tilt", l4_tilt, ("...",), -_LARGEST_DEG, _LARGEST_DEG)
    sets = tuple(degrees.shape[:-1])
    require(found.shape in ((), sets), "l4_tilt", found.shape, f"one number, or numbers of shape {sets}")
    if isinstance(degrees, np.ndarray):
        return found
    return degrees.new_tensor(found) if library(l4_tilt) is np else l4_tilt.to(degrees)


def _refuse(field, values, bad, allowed):
    """Raise `InputError` with the first bad value."""
    if bad.any():
        raise InputError(field, values[bad].reshape(-1)[0].item(), allowed)


def _category(values, borders):
    """Count the borders that are reached, but the last, which must be passed."""
    return sum(values >= border for border in borders[:-1]) + (values > borders[-1])


def _normal_tail(z):
    """Return the share of the standard normal distribution above z."""
    xp = library(z)
    erfc = np.vectorize(math.erfc, otypes=[float]) if xp is np else xp.special.erfc
    return erfc(z / math.sqrt(2)) / 2

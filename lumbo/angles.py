"""Lumbopelvic angles from six landmarks.  Taught in four_angles.

A landmark set is an array of shape ``(..., 6, 2)``: ``(x, y)`` of the points named in
`LANDMARKS`, in any length unit, with y pointing **down** as in an image.  NumPy arrays
and torch tensors work alike; torch results can be differentiated.

Conventions (sources in the book's bibliography): SS is positive when the S1 plate
falls forwards, PT when the middle of S1 lies behind the hip axis, LL when the lumbar
spine is lordotic, measured from the superior plate of L1 to that of S1.
"""

import sys

import numpy as np

from lumbo.errors import InputError, array, require

__all__ = [
    "LANDMARKS",
    "ANGLES",
    "SIDES",
    "FARTHEST",
    "lumbopelvic_angles",
    "measure",
    "hip_axis",
    "library",
    "s1_midpoint",
    "rotate",
]

LANDMARKS = ("s1_anterior", "s1_posterior", "l1_anterior", "l1_posterior", "head_near", "head_far")
ANGLES = ("SS", "PT", "PI", "LL")
SIDES = {"left": -1.0, "right": 1.0}
FARTHEST = 1e9  # from the origin, in any unit: beyond, float64 rounds the corners of a plate


def lumbopelvic_angles(landmarks, anterior=None):
    """Measure SS, PT, PI and LL.

    Parameters
    ----------
    landmarks : array or tensor, shape (..., 6, 2)
        Points in the order of `LANDMARKS`, y down, any length unit, at most 1e9.  The two femoral
        heads may be given in either order; a head that is not visible is NaN, or masked.
    anterior : {"left", "right"}, or one of them for each set, shape (...), optional
        The side of the image that the patient faces.  By default it is read from S1:
        its anterior corner lies in front of its posterior corner.  That is unambiguous
        while |SS| < 90 degrees; beyond, the plate has turned over: pass the side.

    Returns
    -------
    array or tensor, shape (..., 4), float64; a float32 tensor gives float32
        SS, PT, PI, LL in degrees.  PI = PT + SS and LL = SS + L1 tilt hold exactly.

    Raises
    ------
    InputError
        Wrong shape, no real numbers, a coordinate that is not finite or too large, both heads
        missing, coincident corners, a middle of S1 on the hip axis, an S1 plate exactly vertical
        while `anterior` is not given, or an unknown side.

    Examples
    --------
    An S1 plate that falls 45 degrees forwards, straight above the hips; L1 level:

    >>> points = [[-1, 1], [1, -1], [-1, -9], [1, -9], [0, 10], [0, 10]]
    >>> lumbopelvic_angles(np.array(points)).tolist()
    [45.0, 0.0, 45.0, 45.0]
    """
    points = _checked(landmarks)
    return measure(points, _facing(points, anterior))


def measure(points, side):
    """Do as `lumbopelvic_angles` with points that need no check: nothing here asks what the numbers are.

    points : floating array or tensor (..., 6, 2);  side : -1 where the patient faces left in the image, 1 where right
    """
    xp = library(points)
    s1 = points[..., 0, :] - points[..., 1, :]  # posterior to anterior corner
    l1 = points[..., 2, :] - points[..., 3, :]
    leg = _middle(points) - _hips(points)  # hip axis to middle of S1
    ss = _degrees(xp.arctan2(s1[..., 1], side * s1[..., 0]))
    l1_tilt = _degrees(xp.arctan2(-l1[..., 1], side * l1[..., 0]))
    pt = _degrees(xp.arctan2(-side * leg[..., 0], -leg[..., 1]))
    return xp.stack([ss, pt, pt + ss, ss + l1_tilt], -1)


def hip_axis(landmarks):
    """Return the hip axis, shape (..., 2): the midpoint of the two heads, or the one known.

    landmarks : array or tensor, shape (..., 6, 2)

    >>> points = np.full((6, 2), np.nan); points[4] = 3, 4
    >>> hip_axis(points).tolist()
    [3.0, 4.0]
    """
    return _hips(_six(landmarks))


def s1_midpoint(landmarks):
    """Return the middle of the S1 plate, shape (..., 2), of landmarks (..., 6, 2), array or tensor."""
    return _middle(_six(landmarks))


def rotate(landmarks, degrees, center):
    """Turn every landmark about `center`, clockwise as seen in the image (y down).

    For a patient who faces left this tips the spine backwards, which raises PT
    and lowers SS by `degrees` when `center` is the hip axis; PI stays.

    Parameters
    ----------
    landmarks : array, shape (..., 6, 2)
    degrees : float or array, shape (...)
    center : array, shape (..., 2)
    """
    landmarks = array("landmarks", landmarks, ("...", len(LANDMARKS), 2), missing=True)
    turn = np.radians(array("degrees", degrees, ("...",)))
    center = array("center", center, ("...", 2))
    for field, given in (("degrees", turn.shape), ("center", center.shape[:-1])):
        fits = all(n in (1, have) for n, have in zip(given[::-1], landmarks.shape[-3::-1]))
        require(
            fits and len(given) <= landmarks.ndim - 2, field, given, f"one for each of {landmarks.shape[:-2]}"
        )
    cos, sin = np.cos(turn)[..., None], np.sin(turn)[..., None]
    dx, dy = np.moveaxis(landmarks - np.expand_dims(center, -2), -1, 0)
    moved = np.stack([cos * dx - sin * dy, sin * dx + cos * dy], -1)
    return moved + np.expand_dims(center, -2)


def _checked(landmarks):
    """Return landmarks as a float array or tensor, or say what is wrong with them."""
    points = _numbers(landmarks)
    xp = library(points)
    missing = xp.isnan(points).all(-1)
    bad = ~(abs(points) <= FARTHEST).all(-1)
    bad[..., 4:] &= ~missing[..., 4:] | missing[..., 4:].all(-1)[..., None]
    if bad.any():
        i = int(bad.reshape(-1, 6).any(0).nonzero()[0][0])
        x, y = points.reshape(-1, 6, 2)[bad.reshape(-1, 6)[:, i]][0, i]
        allowed = f"finite numbers up to {FARTHEST:g}; one head may be NaN"
        raise InputError(f"landmarks.{LANDMARKS[i]}", [float(x), float(y)], allowed)
    for i, j, what in ((0, 1, "s1 corners"), (2, 3, "l1 corners")):
        if (points[..., i, :] == points[..., j, :]).all(-1).any():
            raise InputError(f"landmarks.{what}", "the same point twice", "two different points")
    if (_hips(points) == _middle(points)).all(-1).any():
        raise InputError("landmarks", "hip axis on the middle of S1", "two different points")
    return points


def library(values):
    """Return the module that computes with these: torch where they are a tensor, else NumPy."""
    torch = sys.modules.get("torch")
    return np if torch is None or not isinstance(values, torch.Tensor) else torch


def _numbers(landmarks):
    """Return landmarks as float64, or as they are where they are a tensor of float32 or float64."""
    points = _six(landmarks)
    torch = library(points)
    if torch is np:
        return points
    real = not points.is_complex() and points.dtype != torch.bool
    real = real and not points.is_meta and points.layout is torch.strided
    require(real, "landmarks", f"{points.dtype} values", "real numbers of shape (..., 6, 2)")
    return points if points.dtype in (torch.float32, torch.float64) else points.double()


def _six(landmarks):
    """Return landmarks of the right shape, whatever their numbers are: a tensor, or else an array of float64."""
    shape = (len(LANDMARKS), 2)
    if library(landmarks) is np:
        return array("landmarks", landmarks, ("...", *shape), missing=True)
    fits = tuple(landmarks.shape[-2:]) == shape
    require(fits, "landmarks", tuple(landmarks.shape), "numbers of shape (..., 6, 2)")
    return landmarks


def _hips(points):
    xp, near, far = library(points), points[..., 4, :], points[..., 5, :]
    return (xp.where(xp.isnan(near), far, near) + xp.where(xp.isnan(far), near, far)) / 2


def _middle(points):
    return (points[..., 0, :] + points[..., 1, :]) / 2


def _facing(points, anterior):
    """Return +1 where the patient faces right in the image, -1 where left."""
    if anterior is None:
        side = library(points).sign(points[..., 0, 0] - points[..., 1, 0])
        if (side == 0).any():
            raise InputError("anterior", None, "'left' or 'right' where the S1 plate is vertical")
        return side
    if isinstance(anterior, str) and anterior in SIDES:
        return SIDES[anterior]
    try:
        names = np.asarray(anterior)
    except ValueError:  # nested beyond what an array can be
        names = np.array(None)
    known = names.dtype.kind in "UO" and all(isinstance(one, str) and one in SIDES for one in names.flat)
    fits = names.shape == tuple(points.shape[:-2])
    allowed = f"'left', 'right' or None, or a side for each of {tuple(points.shape[:-2])}"
    require(known and fits, "anterior", anterior, allowed)
    sides = np.where(names == "left", SIDES["left"], SIDES["right"])
    return sides if isinstance(points, np.ndarray) else points.new_tensor(sides)


def _degrees(radians):
    return radians * (180.0 / np.pi)

"""Helpers of *lumbo*, a book that rebuilds federated lumbopelvic measurement.  Not for clinical use.

Wings, in the order of the book: `films` (a population becomes films with known angles), `learning` (a film
becomes angles, and who trains it), `experiment` (the paper's) and `pages` (figures, living and still); under
them `angles`, what the literature derives from them (`indices`), `errors`, `rows`, `specs`, `store` and `threads`.
Each room names the chapter that teaches it.  All of them are loaded when they are asked for:
``lumbo.films.hospitals``, or ``from lumbo.films import hospitals``.

What a first look needs stands at the front as well: ``lumbo.Pelvis()`` is the figure to drag,
``lumbo.lumbopelvic_angles(landmarks)`` measures, ``lumbo.film_set(lumbo.hospital("aspen"), "test", n=4)`` draws films.
"""

from lumbo import _doors

__version__ = "0.1.0"
__all__ = [
    "angles",
    "errors",
    "rows",
    "specs",
    "store",
    "threads",
    "indices",
    "films",
    "learning",
    "experiment",
    "pages",
]
__all__ += ["Pelvis", "lumbopelvic_angles", "hospital", "film_set"]
_doors.open_door(
    __name__,
    Pelvis="pages.posture",
    lumbopelvic_angles="angles",
    hospital="films.hospitals",
    film_set="films.hospitals",
)

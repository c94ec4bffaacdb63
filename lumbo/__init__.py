"""Helpers of *lumbo*, a book that rebuilds federated lumbopelvic measurement.  Not for clinical use.

Wings, in the order of the book: `films` (a population becomes films with known angles), `learning` (a film
becomes angles, and who trains it), `experiment` (the paper's) and `pages` (figures, living and still); under
them `angles`, `errors` and `store`.  Each room names the chapter that teaches it.  All of them are loaded when
they are asked for: ``lumbo.films.hospitals``, or ``from lumbo.films import hospitals``.
"""

from lumbo._doors import open_door

__version__ = "0.1.0"
__all__ = ["angles", "errors", "store", "films", "learning", "experiment", "pages"]
open_door(__name__)

"""The paper's experiment, from jobs to claims.  Part three of the book.

The rooms stand in the order in which data passes: each imports only from those before it.
"""

from lumbo._doors import open_door

__all__ = ["jobs", "results", "provenance", "runner", "resampling", "tables", "claims"]
open_door(__name__)

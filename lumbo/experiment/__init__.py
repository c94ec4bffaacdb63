"""The paper's experiment, from jobs to claims.  Part three of the book.

jobs : sizes, arms, and how one model is trained and tested
results : what a run leaves, and the results that ship
provenance : what ties a result to the code
runner : does all jobs, and goes on where it was stopped
resampling : what chance draws; intervals and p-values
tables : errors of every arm and test
claims : the paper's claims, the rule, the verdicts

A room imports only from those before it.
"""

from lumbo import _doors

__all__ = ["jobs", "results", "provenance", "runner", "resampling", "tables", "claims"]
_doors.open_door(__name__)

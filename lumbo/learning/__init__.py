"""A film becomes angles, and who trains the network.  Part two of the book.

models : the direct regressor and the landmark network
evaluation : errors, agreement, intervals
augment : films turned, zoomed, shifted and exposed anew
checkpoint : progress of a training in a file
replay : a step recorded on a GPU
training : the one loop, the one predict
federated : federated averaging

A room imports only from those before it.
"""

from lumbo import _doors

__all__ = ["models", "evaluation", "augment", "checkpoint", "replay", "training", "federated"]
_doors.open_door(__name__)

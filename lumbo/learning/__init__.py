"""A film becomes angles, and who trains the network.  Part two of the book.

The rooms stand in the order in which data passes: each imports only from those before it.
"""

from lumbo._doors import open_door

__all__ = ["models", "evaluation", "augment", "checkpoint", "replay", "training", "federated"]
open_door(__name__)

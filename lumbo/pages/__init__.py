"""What the pages show: figures, living and still.

The rooms stand in the order in which data passes: each imports only from those before it.
"""

from lumbo._doors import open_door

__all__ = ["figures", "explorer"]
open_door(__name__)

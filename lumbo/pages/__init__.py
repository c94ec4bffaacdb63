"""What the pages show: figures, living and still.

figures : arrays become figures of matplotlib
explorer : figures to drag, with a kernel and without; the pelvis
"""

from lumbo._doors import open_door

__all__ = ["figures", "explorer"]
open_door(__name__)

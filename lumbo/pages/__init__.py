"""What the pages show: figures, living and still.

figures : arrays become figures of matplotlib
explorer : figures to drag, with a kernel and without; the pelvis
"""

from lumbo import _doors

__all__ = ["figures", "explorer"]
_doors.open_door(__name__)

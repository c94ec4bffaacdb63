"""``python -m lumbo`` is the command `lumbo`."""

import sys

from lumbo.cli import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())

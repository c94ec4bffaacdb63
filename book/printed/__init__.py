"""What instructors project and print: `slides`, `pages` as a PDF, and a `worksheet`."""

from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def part_one() -> list[str]:
    """List the chapters of the first part of the contents, as they are named there."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [chapter["file"] for chapter in contents["parts"][0]["chapters"]]

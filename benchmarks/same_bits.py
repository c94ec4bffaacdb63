"""Whether the code of today trains to the bits of an earlier commit: what lets a stored run outlive a change.

    python benchmarks/same_bits.py COMMIT

A stored run carries a digest of the code that trains.  Code that was only made faster has another digest and the same
results.  This script trains every kind of job of size ``full`` for a few steps with both codes, on this machine, and
compares weights, predictions and checks to the bit.  It adds the pair to ``data_synth/reference/same_bits.json``, which
`reproduction.stands` reads, or says what differs.  It needs a clean checkout, since it names its own commit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lumbo import store
from lumbo.experiment import reproduction

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "data_synth" / "reference" / "same_bits.json"
SIZES = ("fast", "full")  # that have results in the repository
STEPS, CHECKS, TEST = 240, 6, 60
CHILD = """
import json, sys
from dataclasses import replace
from pathlib import Path
from lumbo.experiment import reproduction
sizes, out, steps, checks, test = json.loads(sys.argv[1])
full = reproduction.size("full")
plan = replace(full.plan, steps=steps, checks=checks, patience=1)  # so that some stop early
small = replace(full, name="small", seeds=dict.fromkeys(full.seeds, 1), curve=full.curve[:1], test=test, plan=plan)
reproduction.run(small, Path(out), device="cpu", report=lambda job, done, of: print(job, done, of, file=sys.stderr))
print(json.dumps({name: reproduction.specification(reproduction.size(name)) for name in sizes}))
"""


def git(*words: str) -> str:
    """Ask git about this checkout."""
    return subprocess.run(
        ["git", "-C", ROOT, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def train(checkout: Path, out: Path) -> dict[str, str]:
    """Train with the code of a checkout; return its specification of each size."""
    numbers = json.dumps([SIZES, str(out), STEPS, CHECKS, TEST])
    child = [sys.executable, "-c", CHILD, numbers]  # -c puts the folder it runs in first on the path
    return json.loads(
        subprocess.run(child, check=True, cwd=checkout, stdout=subprocess.PIPE, text=True).stdout
    )


def compare(before: Path, after: Path) -> tuple[list[str], int]:
    """Compare what two codes left, histories too: what differs, and how many arrays do not."""
    names = [{path.name for path in (folder / "jobs").glob("*.safetensors")} for folder in (before, after)]
    odd, equal = sorted(names[0] ^ names[1]), 0
    for name in sorted(names[0] & names[1]):
        (one, noted), (other, note) = (
            store.load_tensors(folder / "jobs" / name) for folder in (before, after)
        )
        for array in one.keys() | other.keys():
            same = array in one and array in other and np.array_equal(one[array], other[array])
            equal += same
            odd += [] if same else [f"{name}: {array}"]
        odd += [] if noted.get("history") == note.get("history") else [f"{name}: history"]
    return odd, equal


def main() -> int:
    """Train twice, compare, and store the pair where nothing differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commit", help="the last one for which the stored run stands")
    commit = git("rev-parse", parser.parse_args().commit)
    if git("status", "--porcelain", "lumbo", "data_synth"):
        parser.error("commit the code first: the record names it")
    with tempfile.TemporaryDirectory() as folder:
        old, before, after = (Path(folder) / name for name in ("checkout", "before", "after"))
        git("worktree", "add", "--detach", str(old), commit)
        try:
            made = train(old, before), train(ROOT, after)
        finally:
            git("worktree", "remove", "--force", str(old))
        odd, equal = compare(before, after)
        origin = json.loads((after / "seed0.json").read_text())
    print(
        f"{equal} arrays and {len(origin['jobs'])} models; what differs: {odd[:9] or 'nothing, to the bit'}"
    )
    if odd:
        return 1
    pair = {
        "specifications": {name: [code[name] for code in made] for name in SIZES},
        "commits": [commit, git("rev-parse", "HEAD")],
        "jobs": sorted(origin["jobs"]),
        "steps": STEPS,
        "arrays": equal,
        "hardware": origin["hardware"],
        "versions": origin["versions"],
    }
    STORED.write_text(json.dumps([*reproduction.same_bits(), pair], indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

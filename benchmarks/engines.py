"""lumbo beside other federated engines, on the same workload in the same run: ``make bench``.

Four hospitals' films, lumbo's network and local steps, weighted federated averaging: `engines/workload.py`
holds them, `engines/with_*.py` adapts them to one engine each.  All take turns, one process tree after the
other, and the final weights are compared with lumbo's.  The engines are installed into environments of their
own in lumbo's cache folder; one that cannot be installed or fails is listed with the reason.  Linux or macOS.

Columns: `start s` is the time to the first round's weights less a steady round; `round s` is the median of
the others; `wall s` reaches from start to exit; `CPU s` and `MiB` (peak of proportional set size) cover all
processes.  Ratios are to the same repetition of the bare loop (the same steps, no federation, one thread) and
of lumbo with two workers (`ours`).  Everything is the median over repetitions, but for the differences of
weights, which are the largest.  The first step of a fresh AdamW is nearly a sign, so that an engine which
only rounds sums differently (`round 1`) ends with weights far further away (`last round`).  `lines` counts
the adapter's lines of code.
"""

import argparse
import ast
import io
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

from lumbo import store

ROOT = Path(__file__).resolve().parent.parent
ADAPTERS = Path(__file__).resolve().parent / "engines"
SHARED = ("torch", "numpy", "pandas", "safetensors")  # what lumbo's training needs, as pinned for the book
LIMIT_S = 600  # a run that takes longer has failed
EVERY_S = 1.0  # between two looks at a run's processes


@dataclass(frozen=True)
class Contender:
    """One way to run the workload.

    adapter : ``engines/with_ADAPTER.py``;  workers : clients that may train at the same moment
    threads : torch threads of each process
    needs : what to install, by name and version, into an environment of its own; none for the book's own
    alone : a package to install without what it asks for, because that does not fit or is not used
    """

    name: str
    adapter: str
    workers: int = 1
    threads: int = 1
    needs: tuple[str, ...] = ()
    alone: str = ""

    @property
    def label(self) -> str:
        """A name for a folder."""
        return f"{self.adapter}-{self.workers}-{self.threads}"


BARE, LUMBO, OURS = "bare loop", "lumbo, 1 worker", "lumbo, 2 workers"
FEDLAB = ("munch==4.0.0", "nvidia-ml-py==13.615.71", "tqdm==4.70.1")
CONTENDERS = (
    Contender(BARE, "bare"),
    Contender("bare loop, 2 torch threads", "bare", threads=2),
    Contender(LUMBO, "lumbo"),
    Contender(OURS, "lumbo", workers=2),
    Contender("Flower, 2 actors", "flower", workers=2, needs=("flwr[simulation]==1.41.0",)),
    Contender("pfl-research", "pfl", needs=("pfl==0.6.0",)),
    # FedLab imports torchvision and more for its data sets; the adapter does without.
    Contender("FedLab", "fedlab", needs=FEDLAB, alone="fedlab==1.3.0"),
    # BlazeFL asks for Python 3.12, and runs on 3.11: so all share one Python and one torch.
    Contender("BlazeFL, 2 threads", "blazefl", workers=2, needs=("tqdm==4.70.1",), alone="blazefl==2.0.3"),
    # With fewer processes than clients NVFlare starts them anew in every round, and takes ten times as long.
    Contender("NVFlare, 4 processes", "nvflare", workers=4, needs=("nvflare==2.9.0",)),
)


class Unavailable(RuntimeError):
    """An engine does not install or run here."""


def python_of(contender: Contender) -> Path:
    """Return the interpreter of a contender's environment, made on the first call."""
    if not contender.needs:
        return Path(sys.executable)
    folder = store.cache_folder() / "peers" / contender.adapter
    python, stamp, recipe = folder / "bin/python", folder / ".ready", _recipe(contender)
    if not stamp.exists() or stamp.read_text() != json.dumps(recipe):
        _call(sys.executable, "-m", "venv", "--clear", folder)
        for requirements in recipe:
            _call(python, "-m", "pip", "install", "--quiet", *requirements)
        stamp.write_text(json.dumps(recipe))
    return python


def _recipe(contender: Contender) -> list[list[str]]:
    """What pip installs, call by call: torch first, so that the engine takes it as it is."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line.split("==")[0] in SHARED]
    extra = shlex.split(os.environ.get("PIP_EXTRA", ""))
    recipe = [[*extra, *pins], [*extra, *pins, *contender.needs]]
    if contender.alone:
        recipe.append(["--no-deps", "--ignore-requires-python", contender.alone])
    return recipe


def _call(*command) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"cannot be installed: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


class Meter(threading.Thread):
    """Looks at a process and its descendants every now and then, until told to stop.

    cpu_s : processor time by process;  peak_mib : largest memory of all of them at one moment
    """

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.root, self.began, self.done = psutil.Process(pid), time.monotonic(), threading.Event()
        self.cpu_s: dict[psutil.Process, float] = {}
        self.peak_mib = 0.0

    def run(self) -> None:
        """Look, and end a run that takes too long."""
        while not self.done.wait(EVERY_S):
            self.look()
            if time.monotonic() - self.began > LIMIT_S:
                self.end()

    def look(self) -> None:
        """Take one sample."""
        try:
            family = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        self.peak_mib = max(self.peak_mib, sum(map(self._sample, family)))

    def _sample(self, process: psutil.Process) -> float:
        try:
            times, memory = process.cpu_times(), process.memory_full_info()
        except psutil.Error:  # it has just ended
            return 0.0
        self.cpu_s[process] = times.user + times.system
        return getattr(memory, "pss", memory.uss) / 2**20

    def stop(self) -> None:
        """Look no more; nothing of the run is left."""
        self.done.set()
        self.join()
        self.end()

    def end(self) -> None:
        """End what is left of the processes seen; each is told from a later one of the same number."""
        for process in self.cpu_s:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue


def run(contender: Contender, python: Path, task: dict, folder: Path) -> dict[str, float]:
    """Run the workload once and return what it cost; `folder` keeps its weights.

    Raises `Unavailable` with the last line of its output when it fails.
    """
    folder.mkdir(parents=True)
    command = [python, ADAPTERS / f"with_{contender.adapter}.py"]
    began = time.time()
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(contender, task, folder), stdout=log, stderr=log
        )
    meter = Meter(process.pid)
    meter.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.time() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    meter.stop()
    rounds = _read_rounds(folder, task["rounds"], process.returncode)
    steady = float(statistics.median(np.diff(rounds)))
    return {
        "start_s": rounds[0] - began - steady,
        "round_s": steady,
        "wall_s": wall_s,
        "cpu_s": max(usage.ru_utime + usage.ru_stime, sum(meter.cpu_s.values())),
        "peak_mib": meter.peak_mib,
    }


def _environment(contender: Contender, task: dict, folder: Path) -> dict[str, str]:
    """What a run is told: the task, where lumbo is, how many threads; and that it keeps to its folder."""
    return os.environ | {
        "LUMBO_ENGINES": json.dumps(task | {"workers": contender.workers, "folder": str(folder)}),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ADAPTERS))),
        "OMP_NUM_THREADS": str(contender.threads),
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _read_rounds(folder: Path, expected: int, code: int) -> list[float]:
    """When each round's weights were ready."""
    marks = folder / "rounds"
    rounds = [float(line) for line in marks.read_text().split()] if marks.exists() else []
    if code or len(rounds) != expected:
        reason = _last_line((folder / "log").read_text(errors="replace"))
        raise Unavailable(f"failed with {code} after {len(rounds)} of {expected} rounds: {reason}")
    return rounds


def difference(folder: Path, reference: Path, kept: str) -> float:
    """Return the largest absolute difference of two runs' weights after the "first" or "last" round."""
    with np.load(folder / f"{kept}.npz") as ours, np.load(reference / f"{kept}.npz") as theirs:
        return max(float(abs(ours[name].astype(float) - theirs[name]).max()) for name in theirs)


def repetition(turns: list[tuple[Contender, Path]], task: dict, folder: Path) -> dict[str, dict]:
    """Let everyone run once; return what each cost, as ratios too, and how its weights differ."""
    costs = {}
    for contender, python in turns:
        print(f"  {contender.name}", file=sys.stderr, flush=True)
        try:
            costs[contender.name] = run(contender, python, task, folder / contender.label)
        except Unavailable as error:
            if contender.name in (BARE, LUMBO, OURS):  # without these there is nothing to compare with
                raise
            costs[contender.name] = {"failed": str(error)}
    for contender, _ in turns:
        if "failed" not in costs[contender.name]:
            costs[contender.name] |= _ratios(costs[contender.name], costs)
            if contender.adapter != "bare":
                costs[contender.name] |= _differences(folder, contender)
    return costs


def _ratios(cost: dict, costs: dict[str, dict]) -> dict[str, float]:
    return {
        f"{key}_to_{what}": cost[f"{key}_s"] / costs[other][f"{key}_s"]
        for what, other in (("bare", BARE), ("ours", OURS)) for key in ("round", "wall", "cpu")
    }  # fmt: skip


def _differences(folder: Path, contender: Contender) -> dict[str, float]:
    reference = next(c for c in CONTENDERS if c.name == LUMBO)
    return {
        f"{kept}_difference": difference(folder / contender.label, folder / reference.label, kept)
        for kept in ("first", "last")
    }


def measure(contenders: list[Contender], task: dict, repeats: int) -> list[dict[str, dict]]:
    """Install everyone, then repeat; who starts changes from one repetition to the next."""
    turns, missing = [], {}
    for contender in contenders:
        try:
            turns.append((contender, python_of(contender)))
        except Unavailable as error:
            missing[contender.name] = {"failed": str(error)}
    found = []
    for i in range(repeats):
        print(f"repetition {i + 1} of {repeats}", file=sys.stderr, flush=True)
        first = i * len(turns) // repeats
        with tempfile.TemporaryDirectory() as folder:
            found.append(repetition(turns[first:] + turns[:first], task, Path(folder)) | missing)
    return found


def summary(contender: Contender, costs: list[dict]) -> dict:
    """Medians of what one contender cost; the largest differences; its adapter's lines."""
    row = {"name": contender.name, "lines": lines(ADAPTERS / f"with_{contender.adapter}.py")}
    good = [cost for cost in costs if "failed" not in cost]
    if len(good) < len(costs):
        row["failed"] = next(cost["failed"] for cost in costs if "failed" in cost)
    for key in good[0] if good else ():
        fold = max if key.endswith("difference") else statistics.median
        row[key] = fold(cost[key] for cost in good)
    return row


def lines(path: Path) -> int:
    """Count lines of code: no blank ones, comments or docstrings."""
    source = path.read_text(encoding="utf-8")
    silent = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"}
    spoken = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if tokenize.tok_name[token.type] not in silent
    ]
    rows = {row for token in spoken for row in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            rows -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(rows)


COLUMNS = {  # heading: key and format
    "start s": ("start_s", "{:.1f}"), "round s": ("round_s", "{:.2f}"), "wall s": ("wall_s", "{:.1f}"),
    "CPU s": ("cpu_s", "{:.1f}"), "MiB": ("peak_mib", "{:.0f}"), "round/bare": ("round_to_bare", "{:.2f}"),
    "wall/bare": ("wall_to_bare", "{:.2f}"), "CPU/bare": ("cpu_to_bare", "{:.2f}"),
    "round/ours": ("round_to_ours", "{:.2f}"), "wall/ours": ("wall_to_ours", "{:.2f}"),
    "round 1": ("first_difference", "{:.0e}"), "last round": ("last_difference", "{:.0e}"),
    "lines": ("lines", "{}"),
}  # fmt: skip


def table(rows: list[dict]) -> str:
    """Lay out the rows; 0 is bit for bit equal, - is not to be compared."""
    cells = [["", *COLUMNS]]
    for row in rows:
        cells.append([row["name"], *(_cell(row.get(key), form) for key, form in COLUMNS.values())])
    widths = [max(map(len, column)) for column in zip(*cells)]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in cells
    ]
    return "\n".join(text + [f"{row['name']} {row['failed']}" for row in rows if "failed" in row])


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value) if value else "0"


def main() -> None:
    """Measure, print the table, and write everything to ``--out``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--films", type=int, default=268, help="training films of the largest hospital")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="adapters to run beside bare and lumbo, such as flower")
    parser.add_argument("--out", type=Path, help="a JSON file for the table and every run")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2: the first pays for the start")
    task = {"rounds": options.rounds, "films": options.films}
    who = [c for c in CONTENDERS if options.only is None or c.adapter in ("bare", "lumbo", *options.only)]
    machine = {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    runs = measure(who, task, options.repeats)
    rows = [summary(contender, [costs[contender.name] for costs in runs]) for contender in who]
    setting = task | {"repeats": options.repeats} | machine
    print(", ".join(f"{key} {value}" for key, value in setting.items()))
    print(table(rows))
    if options.out:
        note = {"setting": setting, "contenders": list(map(asdict, who)), "rows": rows, "repetitions": runs}
        options.out.write_text(json.dumps(note, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""lumbo beside gVirtualXray, on the same patients in the same run: ``make bench``.

gVirtualXray (BSD-3) draws triangle meshes with OpenGL.  It is installed into an environment of its own in lumbo's
cache folder, and works here as lumbo does: on one thread of the processor.  Both draw the primary signal of the same
solids, all bones, bowel, muscles and the trunk but for its lung and grain, and take turns.  Then line integrals are compared
pixel by pixel, at one energy.

Lumbo draws each solid as seen at its middle depth; gVirtualXray follows every ray.  So films are compared twice: in
the scanner of a hospital, and with the tube 100 m away, where rays are parallel and only the meshing differs.

gVirtualXray needs OpenGL 4.5 through EGL and some X libraries.  On Debian: apt install libegl1 libgl1-mesa-dri
libxcb-composite0 libxcb-ewmh2 libxcb-icccm4 libxcb-keysyms1 libxcb-res0 libxcb-xinerama0
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import meshes
import numpy as np
import torch

from lumbo import store
from lumbo.films import bones, hospitals, radiograph, shapes, tissue

PEER = "gvxr==2.1.0"
WORKER = Path(__file__).with_name("gvxr_films.py")
MODELLED = """
                                     lumbo                        gVirtualXray
shapes                               prisms, ellipsoids, tubes    any closed triangle mesh
what thins out towards its outline   yes                          as a lens-shaped mesh
divergence inside one solid          no (drawn at one depth)      yes
slot scanner                         yes                          no (cone or parallel beam)
energies                             two effective                any spectrum
noise, detector blur                 yes                          yes
scatter, grid, heel                  yes                          no
uneven soft tissue, lung             yes                          as meshes only
exposure control, display, text      yes                          no
many patients in one call            yes                          no
known landmarks and angles           yes                          no
"""


@dataclass(frozen=True)
class Phantoms:
    """Patients in front of one detector, ready to be drawn."""

    solids: list[shapes.Solid]
    trunk: shapes.Trunk
    scanner: radiograph.Scanner
    exposure: radiograph.Exposure

    def __len__(self):
        return len(self.exposure.center_mm)


def phantoms(long_side_px: int, source_mm: float | None = None) -> Phantoms:
    """Draw a chunk of patients of Aspen in its scanner; without lung and uneven tissue, which are no meshes."""
    where = hospitals.hospital("aspen")
    scanner = where.scanner if source_mm is None else replace(where.scanner, source_mm=source_mm)
    seen = hospitals.visit(where, "test", 0, 0, long_side_px)
    spines, vary = seen.spines, seen.vary
    trunk = tissue.trunk(spines, vary)
    solids = bones.skeleton(spines, np.zeros(len(spines), bool), vary) + tissue.contents(spines, vary)
    return Phantoms(
        [_few_densities(solid) for solid in solids],
        replace(trunk, lung=0 * trunk.lung),
        scanner,
        radiograph.aim(spines, scanner, long_side_px, vary),
    )


def _few_densities(solid):
    """Round densities to fiftieths: gVirtualXray pays for each different one."""
    names = ("density", "shell") if isinstance(solid, shapes.Prisms) else ("density",)
    return replace(solid, **{name: np.round(np.multiply(getattr(solid, name), 50)) / 50 for name in names})


def write_scenes(phantom: Phantoms, n: int, path: Path) -> int:
    """Write the first `n` patients as meshes; return the mean number of triangles of a patient."""
    scanner, exposure, triangles = phantom.scanner, phantom.exposure, 0
    scenes: dict[str, Any] = {
        "center_mm": exposure.center_mm[:n], "shape": exposure.shape, "pixel_mm": exposure.pixel_mm[:n],
        "detector_mm": scanner.object_mm, "tube_mm": scanner.source_mm - scanner.object_mm,
    }  # fmt: skip
    for i in range(n):
        parts = meshes.patient(phantom.solids, phantom.trunk, i)
        scenes[f"{i}.mu"] = [
            share[0] * radiograph.SOFT[0] + share[1] * radiograph.BONE[0] for share, _ in parts
        ]
        for j, (_, (vertices, faces)) in enumerate(parts):
            scenes[f"{i}.{j}.vertices"], scenes[f"{i}.{j}.faces"] = vertices.astype(np.float32), faces
            triangles += len(faces)
    np.savez(path, **scenes)
    return triangles // n


def line_integrals(phantom: Phantoms) -> np.ndarray:
    """Line integral of each pixel at the lower energy, (n, h, w)."""
    soft, bone = radiograph.attenuation(phantom.solids, phantom.trunk, phantom.scanner, phantom.exposure)
    return (soft * radiograph.SOFT[0] + bone * radiograph.BONE[0]).numpy()


def primary(phantom: Phantoms) -> torch.Tensor:
    """Draw the signal without scatter, what is timed."""
    soft, bone = radiograph.attenuation(phantom.solids, phantom.trunk, phantom.scanner, phantom.exposure)
    beam = zip(radiograph.WEIGHTS, radiograph.SOFT, radiograph.BONE)
    return sum((weight * torch.exp(-mu * soft - more * bone) for weight, mu, more in beam), torch.zeros(()))


class Unavailable(RuntimeError):
    """The peer does not install or run here."""


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, made on the first call."""
    folder = store.cache_folder() / "peers" / PEER.replace("==", "-")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / ".ready").exists():
        quiet = ("--quiet", "--disable-pip-version-check")
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", *quiet, PEER],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"{PEER} cannot be installed: {_reason(done.stderr)}")
        (folder / ".ready").touch()
    return python


class Peer:
    """gVirtualXray in a process of its own, which holds the scenes of one folder."""

    def __init__(self, folder: Path):
        self.errors = folder / "errors.txt"
        command = [peer_python(), WORKER, folder / "scenes.npz", folder / "films.npz"]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, env=os.environ | {"LP_NUM_THREADS": "0"}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.ask, self.answers = self.process.stdin, self.process.stdout

    def draw(self) -> dict[str, float]:
        """Draw every scene once; return the seconds that loading and rendering took."""
        with suppress(BrokenPipeError):
            print(file=self.ask, flush=True)
        for line in self.answers:
            if line.startswith("SECONDS"):
                return json.loads(line.removeprefix("SECONDS"))
        raise Unavailable(f"{PEER} does not run: {_reason(self.errors.read_text())}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(BrokenPipeError):
            self.ask.close()
        self.process.wait()
        self.answers.close()


def _reason(text: str) -> str:
    """The last line that speaks of an error; gVirtualXray tells more after it."""
    lines = text.strip().splitlines() or ["no message"]
    return ([line for line in lines if "Error" in line or "ERROR" in line] or lines)[-1].strip()


def take_turns(phantom: Phantoms, n: int, repeats: int, folder: Path) -> tuple[float, float, float]:
    """Return the median seconds a film: lumbo's, the peer's loading and the peer's rendering."""
    taken = []
    with Peer(folder) as peer:
        for _ in range(1 + repeats):
            theirs = peer.draw()
            began = time.perf_counter()
            primary(phantom)
            ours = time.perf_counter() - began
            taken.append((ours / len(phantom), theirs["load"] / n, theirs["render"] / n))
    ours, load, render = np.median(taken[1:], axis=0)  # the first turn warms both up
    return ours, load, render


def compare(title: str, phantom: Phantoms, n: int, repeats: int, folder: Path) -> None:
    """Print speed and agreement of both on the same patients."""
    triangles = write_scenes(phantom, n, folder / "scenes.npz")
    lumbo, loading, rendering = take_turns(phantom, n, repeats, folder)
    with np.load(folder / "films.npz") as result:
        theirs, renderer = result["films"], str(result["renderer"])
    true = line_integrals(phantom)[:n]
    inside = true > 0.1
    gap = abs(true - theirs)[inside]
    height, width = phantom.exposure.shape
    peer = loading + rendering
    print(f"{title}: {height} x {width} px, {triangles} triangles a patient, {renderer}, one thread each")
    print(f"  lumbo        {1 / lumbo:7.1f} films a second ({len(phantom)} patients at once)")
    print(f"  gVirtualXray {1 / peer:7.1f} films a second ({loading / peer:.0%} of it loads the meshes)")
    print(f"  lumbo is {peer / lumbo:.0f} times as fast")
    print(
        f"  line integrals differ by {np.median(gap):.4f} (median), {np.percentile(gap, 95):.4f} (95th percentile); "
        f"their own median is {np.median(true[inside]):.2f}"
    )


def with_peer(options: argparse.Namespace) -> None:
    """Compare at the real distance and from 100 m."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(radiograph, "GRAIN", (0.0, 0.0)):
        for title, source_mm in (("In a scanner of Aspen", None), ("Tube at 100 m", 1e5)):
            phantom = phantoms(options.long_side_px, source_mm)
            compare(title, phantom, options.films, options.repeats, Path(folder))


def main() -> None:
    """Print what each models, then how fast they are and how well they agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long-side-px", type=int, default=256)
    parser.add_argument("--films", type=int, default=4, help="patients that the peer draws in each round")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(MODELLED)
    try:
        with_peer(options)
    except Unavailable as error:
        print(f"Skipped, gVirtualXray has drawn nothing.  {error}\nWhat it needs: {sys.argv[0]} --help")


if __name__ == "__main__":
    main()

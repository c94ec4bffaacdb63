"""Films of triangle meshes by gVirtualXray, timed on request.  Runs in the environment that `peers.py` makes.

``python gvxr_films.py SCENES.npz FILMS.npz``; each line on standard input asks for one round over all scenes,
answered by ``SECONDS {"load": ..., "render": ...}``.  Their line integrals go to FILMS.npz.
"""

import json
import sys
import time

import numpy as np
from gvxrPython3 import gvxr


def set_up(scenes) -> None:
    """Point source on +y, detector on -y, one energy."""
    gvxr.createOpenGLContext()
    gvxr.usePointSource()
    gvxr.setDetectorUpVector(0, 0, 1)
    gvxr.setDetectorRightVector(-1, 0, 0)
    height, width = (int(size) for size in scenes["shape"])
    gvxr.setDetectorNumberOfPixels(width, height)
    gvxr.setMonoChromatic(60, "keV", 1)


def read(scenes) -> list[tuple]:
    """Each scene as (central ray, pixel, [(attenuation per mm, vertices, faces)]), in the lists that gVirtualXray takes."""
    return [
        (
            [float(value) for value in center],
            float(pixel_mm),
            [
                (
                    float(mu),
                    scenes[f"{i}.{j}.vertices"].ravel().tolist(),
                    scenes[f"{i}.{j}.faces"].ravel().tolist(),
                )
                for j, mu in enumerate(scenes[f"{i}.mu"])
            ],
        )
        for i, (center, pixel_mm) in enumerate(zip(scenes["center_mm"], scenes["pixel_mm"]))
    ]


def load(center_mm, pixel_mm, meshes, tube_mm: float, detector_mm: float) -> None:
    """Put one patient between tube and detector."""
    x, z = center_mm
    gvxr.removePolygonMeshesFromXRayRenderer()
    gvxr.removePolygonMeshesFromSceneGraph()
    gvxr.setSourcePosition(x, tube_mm, z, "mm")
    gvxr.setDetectorPixelSize(pixel_mm, pixel_mm, "mm")
    gvxr.setDetectorPosition(x, -detector_mm, z, "mm")
    for j, (mu, vertices, faces) in enumerate(meshes):
        gvxr.makeTriangularMesh(f"{j}", vertices, faces, "mm")
        gvxr.addPolygonMeshAsInnerSurface(f"{j}")
        gvxr.setLinearAttenuationCoefficient(f"{j}", 10 * mu, "cm-1")


def film() -> np.ndarray:
    """Line integrals of what is loaded, top row first."""
    signal = np.array(gvxr.computeXRayImage(), dtype=np.float64)
    return -np.log(signal / gvxr.getTotalEnergyWithDetectorResponse())[::-1]


def main() -> None:
    """Answer requests until standard input ends."""
    scenes = np.load(sys.argv[1])
    set_up(scenes)
    patients = read(scenes)
    films = [None] * len(patients)
    for _ in sys.stdin:
        taken = {"load": 0.0, "render": 0.0}
        for i, patient in enumerate(patients):
            began = time.perf_counter()
            load(*patient, float(scenes["tube_mm"]), float(scenes["detector_mm"]))
            loaded = time.perf_counter()
            films[i] = film()
            taken["load"] += loaded - began
            taken["render"] += time.perf_counter() - loaded
        np.savez(sys.argv[2], films=np.stack(films), renderer=gvxr.getOpenGlRenderer())
        print("SECONDS", json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()

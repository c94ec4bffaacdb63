"""The beam as two energies and what each material adds: the numbers in `lumbo.films.radiograph` and `lumbo.films.shapes`.

Run it in an environment of its own:  pip install xraylib==4.3.0 spekpy==2.5.4;  python benchmarks/spectrum.py

Beam: 85 kVp, tungsten at 12 degrees, 3 mm of aluminium in all (SpekPy).  Detector: energy absorbed in 0.5 mm of
caesium iodide packed to 75 %, without loss by fluorescence.  Attenuation counts coherent scatter (xraylib).
Fitted: the logarithm of the signal behind 50 to 400 mm of water and 0 to 60 mm of cortical bone.
"""

import numpy as np
import spekpy
import xraylib
from scipy.optimize import least_squares

MATERIALS = {  # g/cm3 and per cent of mass; tissues of adults after ICRU Report 44, cancellous bone after 46
    "water": (1.00, "H 11.19 O 88.81"),
    "muscle": (1.05, "H 10.2 C 14.3 N 3.4 O 71.0 Na 0.1 P 0.2 S 0.3 Cl 0.1 K 0.4"),
    "adipose": (0.95, "H 11.4 C 59.8 N 0.7 O 27.8 Na 0.1 S 0.1 Cl 0.1"),
    "cortical bone": (1.92, "H 3.4 C 15.5 N 4.2 O 43.5 Na 0.1 Mg 0.2 P 10.3 S 0.3 Ca 22.5"),
    "cancellous bone": (
        1.18,
        "H 8.5 C 40.4 N 2.8 O 36.7 Na 0.1 Mg 0.1 P 3.4 S 0.2 Cl 0.2 K 0.1 Ca 7.4 Fe 0.1",
    ),
    "lung": (0.26, "H 10.3 C 10.5 N 3.1 O 74.9 Na 0.2 P 0.2 S 0.3 Cl 0.3 K 0.2"),
    "Ti-6Al-4V": (4.43, "Ti 90 Al 6 V 4"),
    "Co-Cr-Mo": (8.30, "Co 66 Cr 28 Mo 6"),
    "PEEK": (1.30, "H 4.20 C 79.15 O 16.65"),
    "lead": (11.35, "Pb 100"),
}
WATER_MM, BONE_MM = np.meshgrid(np.arange(50, 401, 10.0), np.arange(0, 61, 5.0))


def attenuation(material: str, energies_kev) -> np.ndarray:
    """Linear attenuation in 1/mm at each energy."""
    density, parts = MATERIALS[material]
    symbols, shares = parts.split()[::2], np.array(parts.split()[1::2], float)
    numbers = [xraylib.SymbolToAtomicNumber(symbol) for symbol in symbols]
    mass = np.array([[xraylib.CS_Total(number, e) for number in numbers] for e in energies_kev])
    return density / 10 * mass @ shares / shares.sum()


def detected() -> tuple[np.ndarray, np.ndarray]:
    """Energies in keV and the signal that each leaves in the detector without a patient."""
    energies, photons = spekpy.Spek(kvp=85, th=12, dk=0.5).filter("Al", 3.0).get_spectrum()
    stopped = -np.expm1([-0.05 * 0.75 * 4.51 * xraylib.CS_Total_CP("CsI", e) for e in energies])
    return energies, photons * energies * stopped


def log_signal(energies_kev, weights) -> np.ndarray:
    """Logarithm of the signal behind each pair of thicknesses; its mean is 0, as the exposure sets the scale."""
    mu = [attenuation(material, energies_kev) for material in ("water", "cortical bone")]
    passed = np.exp(-np.multiply.outer(WATER_MM, mu[0]) - np.multiply.outer(BONE_MM, mu[1]))
    return np.log(passed @ weights) - np.log(passed @ weights).mean()


def main() -> None:
    """Print the two energies, how well they fit, and the table of materials."""
    true = log_signal(*detected())
    fit = least_squares(
        lambda g: (log_signal(g[:2], [g[2], 1 - g[2]]) - true).ravel(),
        (40.0, 65.0, 0.6),
        x_scale=(10, 10, 0.1),
    )
    energies, weights, error = fit.x[:2], np.array([fit.x[2], 1 - fit.x[2]]), np.expm1(fit.fun)
    muscle, bone = (attenuation(material, energies) for material in ("muscle", "cortical bone"))
    print(f"energies {energies.round(1)} keV, shares of the open beam {weights.round(3)}")
    print(
        f"error: root mean square {np.sqrt((error**2).mean()):.2%}, 95 % below {np.percentile(abs(error), 95):.2%}"
    )
    print(f"per mm: muscle {muscle.round(5)}, cortical bone in excess of muscle {(bone - muscle).round(5)}")
    print("1 mm in place of muscle adds    mm of muscle and mm of that excess    (attenuation per mm)")
    for name in MATERIALS:
        mu = attenuation(name, energies)
        added = np.linalg.solve(np.stack([muscle, bone - muscle], 1), mu - muscle)
        print(f"{name:<29} {added[0]:10.3f} {added[1]:16.3f} {' ':15} {mu.round(5)}")


if __name__ == "__main__":
    main()

"""The beam as two energies, and what each material adds at them: the numbers in `lumbo.radiograph` and `lumbo.shapes`.

Needs an environment of its own::

    python -m venv spectrum && spectrum/bin/pip install xraylib==4.3.0 spekpy==2.5.4
    spectrum/bin/python benchmarks/spectrum.py

Beam: 85 kVp, tungsten at 12 degrees, 3 mm Al in all (SpekPy).  Detector: absorbed energy in 0.5 mm of CsI packed to
75 %, fluorescence ignored.  Narrow beam: attenuation counts coherent scatter too (xraylib).  Two energies and their
weights are fitted to the logarithm of the signal behind 50 to 400 mm of water and 0 to 60 mm of cortical bone.
"""

import numpy as np
import spekpy
import xraylib
from scipy.optimize import least_squares

# Density in g/cm3 and mass fractions in per cent.  Tissues: ICRU Report 44 (spongiosa: ICRU Report 46), adults.
MATERIALS = {
    "water": (1.00, "H 11.19 O 88.81"),
    "muscle": (1.05, "H 10.2 C 14.3 N 3.4 O 71.0 Na 0.1 P 0.2 S 0.3 Cl 0.1 K 0.4"),
    "soft tissue": (1.06, "H 10.2 C 14.3 N 3.4 O 70.8 Na 0.2 P 0.3 S 0.3 Cl 0.2 K 0.3"),
    "adipose": (0.95, "H 11.4 C 59.8 N 0.7 O 27.8 Na 0.1 S 0.1 Cl 0.1"),
    "cortical bone": (1.92, "H 3.4 C 15.5 N 4.2 O 43.5 Na 0.1 Mg 0.2 P 10.3 S 0.3 Ca 22.5"),
    "cancellous bone": (1.18, "H 8.5 C 40.4 N 2.8 O 36.7 Na 0.1 Mg 0.1 P 3.4 S 0.2 Cl 0.2 K 0.1 Ca 7.4 Fe 0.1"),
    "lung": (0.26, "H 10.3 C 10.5 N 3.1 O 74.9 Na 0.2 P 0.2 S 0.3 Cl 0.3 K 0.2"),
    "air": (0.0012, "N 75.5 O 23.2 Ar 1.3"),
    "titanium": (4.51, "Ti 100"),
    "Ti-6Al-4V": (4.43, "Ti 90 Al 6 V 4"),
    "Co-Cr-Mo": (8.30, "Co 66 Cr 28 Mo 6"),
    "PEEK": (1.30, "H 4.20 C 79.15 O 16.65"),
    "lead": (11.35, "Pb 100"),
}
WATER_MM, BONE_MM = np.meshgrid(np.arange(50, 401, 10.0), np.arange(0, 61, 5.0), indexing="ij")


def attenuation(material: str, energies_kev) -> np.ndarray:
    """Linear attenuation in 1/mm at each energy."""
    density, parts = MATERIALS[material]
    parts = parts.split()
    shares = {xraylib.SymbolToAtomicNumber(name): float(share) for name, share in zip(parts[::2], parts[1::2])}
    mass = [sum(w * xraylib.CS_Total(z, e) for z, w in shares.items()) for e in np.atleast_1d(energies_kev)]
    return density / 10 * np.array(mass) / sum(shares.values())


def detected_spectrum() -> tuple[np.ndarray, np.ndarray]:
    """Energies in keV and the signal that each leaves in the detector without a patient."""
    beam = spekpy.Spek(kvp=85, th=12, dk=0.5).filter("Al", 3.0)
    energies, photons = beam.get_spectrum()
    caesium_iodide = [xraylib.CS_Total_CP("CsI", e) * 4.51 * 0.75 * 0.05 for e in energies]
    return energies, photons * energies * -np.expm1(-np.array(caesium_iodide))


def signal(energies_kev, weights, water_mm, bone_mm) -> np.ndarray:
    """Beer and Lambert's law, summed over energies."""
    water, bone = (attenuation(material, energies_kev) for material in ("water", "cortical bone"))
    return np.exp(-np.multiply.outer(water_mm, water) - np.multiply.outer(bone_mm, bone)) @ weights


def fit() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two energies, their weights (summing to one) and the relative error at each grid point."""
    true = np.log(signal(*detected_spectrum(), WATER_MM, BONE_MM))

    def misfit(guess):
        near = np.log(signal(guess[:2], [guess[2], 1 - guess[2]], WATER_MM, BONE_MM))
        return (near - true - (near - true).mean()).ravel()  # the exposure sets the scale

    low, high, share = least_squares(misfit, (40.0, 65.0, 0.6), x_scale=(10, 10, 0.1)).x
    return np.array([low, high]), np.array([share, 1 - share]), np.expm1(misfit((low, high, share)))


def main() -> None:
    """Print the two energies and the table of materials."""
    energies, weights, error = fit()
    there = weights * np.exp(-200 * attenuation("water", energies))
    print(f"energies {energies.round(2)} keV, weights {weights.round(4)}, behind 200 mm of water {(there / there.sum()).round(4)}")
    print(f"relative error: root mean square {np.sqrt((error**2).mean()):.2%}, largest {abs(error).max():.2%}")
    basis = np.stack([attenuation(name, energies) for name in ("water", "cortical bone")], 1)
    print(f"{'1 mm of':<16} {'mu low':>9} {'mu high':>9} = {'water mm':>9} + {'cortical bone mm':>16}")
    for name in MATERIALS:
        mu = attenuation(name, energies)
        water, bone = np.linalg.solve(basis, mu)
        print(f"{name:<16} {mu[0]:9.5f} {mu[1]:9.5f}   {water:9.4f}   {bone:16.4f}")


if __name__ == "__main__":
    main()

// Indices of the four angles, as lumbo.indices has them; tests hold one against the other.

export const SCHWAB_MODIFIERS = ["0", "+", "++"];
export const SCHWAB_BORDERS = { PT: [20, 30], "PI-LL": [10, 20] }; // degrees
export const ROUSSOULY_GROUPS = ["1 or 2", "3", "4"];
export const ROUSSOULY_BORDERS = [35, 45]; // degrees of SS

/** How many borders are reached, but the last, which must be passed. */
export const category = (value, [low, high]) => (value >= low ? 1 : 0) + (value > high ? 1 : 0);

/** Share of the standard normal distribution above z (Numerical Recipes' erfc, to 1e-7). */
export function normalTail(z) {
  const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + x / 2);
  const terms = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277];
  const tail = (t * Math.exp(-x * x + terms.reduceRight((sum, c) => sum * t + c, 0))) / 2;
  return z < 0 ? 1 - tail : tail;
}

/** Which of Roussouly's groups SS leaves open (its place), and degrees to the nearest border. */
export const roussouly = (ss) =>
  ({ group: category(ss, ROUSSOULY_BORDERS), away: Math.min(...ROUSSOULY_BORDERS.map((border) => Math.abs(ss - border))) });

/** The share of each of Roussouly's groups when SS is read with an error of this SD. */
export function roussoulyShares(ss, sd) {
  const [low, high] = ROUSSOULY_BORDERS.map((border) => normalTail((border - ss) / sd));
  return [1 - low, low - high, high];
}

/** Why a standing spine with this PT and this PI − LL has no type of Roussouly's, in words; null where it has one.
 *
 * Where the pelvis is turned back, SS is low for another reason than the spine's shape. We take Schwab's lower borders. */
export function untyped(pt, gap) {
  const [most, widest] = [SCHWAB_BORDERS.PT[0], SCHWAB_BORDERS["PI-LL"][0]];
  const why = [pt > most && `the pelvis is turned back (PT above ${most}°)`, gap > widest && `PI − LL is above ${widest}°`].filter(Boolean);
  return why.length === 0 ? null
    : `Roussouly’s types describe spines without compensation; here ${why.join(" and ")}, so no type is given (borders: Schwab 2012).`;
}

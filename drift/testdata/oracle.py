"""An oracle for the statistics of drift.

Written from the definitions with numpy and scipy, and with Evidently where it
defines the same. Without arguments it writes oracle.json, which the Go tests
read; with --check it computes the values again and compares.
"""

import json
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests.jensenshannon import jensenshannon_stat_test
from evidently.legacy.calculations.stattests.psi import psi_stat_test
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.calculations.stattests.wasserstein_distance_norm import wasserstein_stat_test
from evidently.legacy.core import ColumnType
from scipy import stats
from scipy.spatial import distance

GOLDEN = Path(__file__).with_name("oracle.json")
RATE_CONFIDENCE = 1e-4
ODDS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)


def evidently(test: Any, reference: np.ndarray, window: np.ndarray, kind: ColumnType) -> float:
    """The score of one of Evidently's tests on two samples."""
    a, b = pd.Series(reference), pd.Series(window)
    found = get_stattest(a, b, kind, test)
    return float(found(a, b, kind, test.default_threshold).drift_score)


def agree(what: str, *values: float) -> float:
    if not all(math.isclose(v, values[0], rel_tol=1e-9, abs_tol=1e-12) for v in values):
        sys.exit(f"{what}: scipy and Evidently do not agree: {values}")
    return values[0]


def test_for_one_distribution(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    found = stats.chi2_contingency([a, b], correction=False, lambda_="cressie-read")
    return {
        "statistic": float(found.statistic),
        "freedom": int(found.dof),
        "p": float(found.pvalue),
        "log_p": float(stats.chi2.logsf(found.statistic, found.dof)),
    }


def distances(a: np.ndarray, b: np.ndarray, edges: np.ndarray) -> dict[str, float]:
    """Of counts in bins; samples are bin positions, or the middles of bins."""
    p, q = a / a.sum(), b / b.sum()
    middles = (edges[:-1] + edges[1:]) / 2
    positions = np.arange(len(a))
    as_positions = np.repeat(positions, a), np.repeat(positions, b)
    as_middles = np.repeat(middles, a), np.repeat(middles, b)
    filled_p, filled_q = (np.where(x == 0, 0.0001, x) for x in (p, q))
    deviation = math.sqrt(np.average((middles - np.average(middles, weights=a)) ** 2, weights=a))
    return {
        "psi": agree(
            "psi",
            float(np.sum((filled_q - filled_p) * np.log(filled_q / filled_p))),
            evidently(psi_stat_test, *as_positions, ColumnType.Categorical),
        ),
        # Evidently's is in natural units, Segue's in bits.
        "jensen_shannon": agree(
            "jensen_shannon",
            float(distance.jensenshannon(p, q, 2)),
            evidently(jensenshannon_stat_test, *as_positions, ColumnType.Categorical)
            / math.sqrt(math.log(2)),
        ),
        "l_infinity": float(distance.chebyshev(p, q)),
        "kolmogorov_smirnov": float(stats.ks_2samp(*as_middles, method="asymp").statistic),
        "wasserstein": agree(
            "wasserstein",
            float(stats.wasserstein_distance(middles, middles, a, b) / deviation),
            evidently(wasserstein_stat_test, *as_middles, ColumnType.Numerical),
        ),
    }


def rate(k: int, m: int, x: int, n: int) -> dict[str, Any]:
    bound = float(stats.beta.ppf(1 - RATE_CONFIDENCE, k + 1, m - k)) if k < m else 1.0
    ratios = []
    for odds in ODDS:
        p = odds * bound / (1 - bound + odds * bound)
        ratios.append(np.exp(stats.binom.logpmf(x, n, p) - stats.binom.logpmf(x, n, bound)))
    return {"k": k, "m": m, "x": x, "n": n, "bound": bound, "ln_e": float(np.log(np.mean(ratios)))}


def rounded(values: np.ndarray) -> np.ndarray:
    """As an FP32 tensor has them."""
    return values.astype(np.float32).astype(np.float64)


def feature(rng: np.random.Generator, moved: float) -> dict[str, Any]:
    """Raw values on both sides, and all that a report says of them."""
    reference = rounded(rng.normal(size=2000))
    window = rounded(rng.normal(moved, 1, size=800))
    ordered = np.sort(reference)
    edges = np.array([ordered[i * len(ordered) // 10] for i in range(10)] + [ordered[-1]])
    a = np.histogram(reference, edges)[0]
    inside = np.clip(window, edges[0], edges[-1])
    b = np.histogram(inside, edges)[0]
    return {
        "reference": reference.tolist(),
        "window": window.tolist(),
        "edges": edges.tolist(),
        "counts": b.tolist(),
        "below": int((window < edges[0]).sum()),
        "above": int((window > edges[-1]).sum()),
        "wasserstein_of_values": evidently(
            wasserstein_stat_test, reference, window, ColumnType.Numerical
        ),
        **test_for_one_distribution(a, b),
        **distances(a, b, edges),
    }


def summary(row: np.ndarray) -> dict[str, Any]:
    """The summary scalars of one row that have a name elsewhere."""
    values = row.ravel()
    weight = np.abs(row)
    return {
        "shape": list(row.shape),
        "row": values.tolist(),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "skewness": float(stats.skew(values)),
        "kurtosis": float(stats.kurtosis(values)),
        "zero_share": float((values == 0).mean()),
        "energy": float((values**2).mean()),
        "roughness": float(np.abs(np.diff(values)).mean()),
        "centroids": [
            float(np.average(np.indices(row.shape)[i] / (row.shape[i] - 1), weights=weight))
            for i in range(row.ndim)
        ],
    }


def compute() -> dict[str, Any]:
    rng = np.random.default_rng(20260302)
    tables = []
    for bins in (2, 3, 5, 10, 10, 20, 40):
        p = rng.dirichlet(np.full(bins, 5.0))
        q = rng.dirichlet(np.full(bins, 5.0)) if bins % 2 else p
        a, b = rng.multinomial(20_000, p), rng.multinomial(700, q)
        edges = np.sort(rng.normal(size=bins + 1) * 100)
        if bins == 20:
            b[3] = 0
        tables.append(
            {
                "reference": a.tolist(),
                "window": b.tolist(),
                "edges": edges.tolist(),
                **test_for_one_distribution(a, b),
                **distances(a, b, edges),
            }
        )
    rates = [
        rate(*r)
        for r in (
            (0, 1000, 0, 500),
            (0, 1000, 3, 500),
            (0, 50_000, 40, 500),
            (12, 1000, 6, 500),
            (500, 1000, 300, 500),
            (999, 1000, 500, 500),
        )
    ]
    p = np.concatenate([rng.uniform(size=20), rng.uniform(size=5) * 1e-4, [1.0, 0.0]])
    shapes = ((7,), (12, 9), (3, 8, 5))
    return {
        "tables": tables,
        "rates": rates,
        "p": p.tolist(),
        "q": stats.false_discovery_control(p).tolist(),
        "features": [feature(rng, moved) for moved in (0, 0.2, 1)],
        "summaries": [
            summary(np.where(rng.uniform(size=s) < 0.3, 0, rng.gamma(1, 2, s))) for s in shapes
        ],
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12) if isinstance(a, float) else a == b


def main() -> None:
    warnings.simplefilter("error", RuntimeWarning)
    golden = json.loads(json.dumps(compute()))
    if sys.argv[1:] == ["--check"]:
        if not same(golden, json.loads(GOLDEN.read_text())):
            sys.exit(f"{GOLDEN.name} is not what the oracle computes")
        print(f"{GOLDEN.name} is what scipy and Evidently compute")
    else:
        GOLDEN.write_text(json.dumps(golden, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()

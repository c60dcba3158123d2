"""An oracle for the statistics of gateway/rollout.

Written from the formulas, event by event and with scipy, not from the Go code.
Without arguments it writes oracle.json, which the Go tests read; with --check it
computes the values again and compares.
"""

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special

GOLDEN = Path(__file__).with_name("oracle.json")
ALTERNATIVES = np.geomspace(1.3, 100, 16)


def worse(events: list[tuple[bool, float]], r0: float) -> float:
    """Average of likelihood ratios: (came from the canary, its assignment probability)."""
    logs = np.zeros(16)
    for canary, w in events:
        null = r0 * w / (r0 * w + 1 - w)
        for k, a in enumerate(ALTERNATIVES):
            r = r0 * a
            p = r * w / (r * w + 1 - w)
            logs[k] += math.log(p / null) if canary else math.log((1 - p) / (1 - null))
    return float(special.logsumexp(logs) - math.log(16))


def not_worse(events: list[tuple[bool, float]], r: float) -> float:
    total = 0.0
    for canary, w in events:
        null = r * w / (r * w + 1 - w)
        total += math.log(w / null) if canary else math.log((1 - w) / (1 - null))
    return total


def below(n: int, bad: int, q: float) -> float:
    terms = []
    for weight, p in ((0.7, 0.0), (0.1, q / 10), (0.1, q / 4), (0.1, q / 2)):
        likelihood = special.xlogy(bad, p) + special.xlog1py(n - bad, -p)
        null = special.xlogy(bad, q) + special.xlog1py(n - bad, -q)
        terms.append(math.log(weight) + likelihood - null)
    return float(special.logsumexp(terms))


def above(n: int, bad: int, q: float) -> float:
    odds = q / (1 - q) * ALTERNATIVES
    p = odds / (1 + odds)
    logs = bad * np.log(p / q) + (n - bad) * np.log((1 - p) / (1 - q))
    return float(special.logsumexp(logs) - math.log(16))


def mismatch(w: float, canary: int, stable: int) -> float:
    a, b = 100 * w, 100 * (1 - w)
    mixture = special.betaln(a + canary, b + stable) - special.betaln(a, b)
    return float(mixture - special.xlogy(canary, w) - special.xlog1py(stable, -w))


def share(n: int, good: int, alpha: float) -> tuple[float, float]:
    """The means against which a uniform mixture has less than 1/alpha."""

    def excess(p: float) -> float:
        likelihood = special.xlogy(good, p) + special.xlog1py(n - good, -p)
        return float(special.betaln(good + 1, n - good + 1) - likelihood + math.log(alpha))

    mean, tiny = good / n, 1e-300
    low = 0.0 if excess(tiny) < 0 else optimize.brentq(excess, tiny, mean, xtol=1e-16)
    high = 1.0 if excess(1 - 1e-16) < 0 else optimize.brentq(excess, mean, 1 - 1e-16, xtol=1e-16)
    return low, high


def bounded(values: list[float], alpha: float) -> tuple[float, float]:
    """Howard et al. 2021: empirical Bernstein with the stitched boundary."""
    spread, total = 0.0, 0.0
    for i, x in enumerate(values):
        spread += (x - (0.5 + total) / (i + 1)) ** 2
        total += x
    v, eta, s = max(1.0, spread), 2.0, 1.4
    length = math.log((math.log(v, eta) + 1) ** s * special.zeta(s)) + math.log(2 / alpha)
    k1 = (eta**0.25 + eta**-0.25) / math.sqrt(2)
    k2 = (math.sqrt(eta) + 1) / 2
    radius = (math.sqrt(k1**2 * v * length + k2**2 * length**2) + k2 * length) / len(values)
    mean = total / len(values)
    return max(0.0, mean - radius), min(1.0, mean + radius)


def fleet(seed: int) -> dict[str, Any]:
    """Sticky and other requests of three steps over two gateways: guard errors, r0 1.5, alpha 0.02.

    A caller counts in a step by its first bad event there, with the probability that it
    has left stable since it was last counted; after one on the canary no more.
    """
    rng = random.Random(seed)
    weights = [0.05, 0.2, 0.5]
    position = {user: rng.random() for user in range(300)}
    seen: dict[int, list[tuple[int, bool]]] = {}
    requests, results = [], []
    for step, w in enumerate(weights):
        events: list[tuple[bool, float]] = []
        units, bad_requests, bad_units, judged = 0, 0, set(), set()
        for _ in range(400):
            user = rng.randrange(300) if rng.random() < 0.7 else -1
            canary = position[user] < w if user >= 0 else rng.random() < w
            bad = rng.random() < (0.25 if canary else 0.1)
            requests.append([step, rng.randrange(2), user, canary, bad])
            if user < 0:
                units += canary
                if bad:
                    events.append((canary, w))
                    bad_requests += canary
                continue
            if canary:
                judged.add(user)
            if not bad:
                continue
            if canary:
                bad_units.add(user)
            counted = seen.setdefault(user, [])
            if any(arm for _, arm in counted) or any(at == step for at, _ in counted):
                continue
            last = weights[counted[-1][0]] if counted else 0.0
            events.append((canary, (w - last) / (1 - last)))
            counted.append((step, canary))
        n, x = units + len(judged), bad_requests + len(bad_units)
        proof = np.logaddexp(
            math.log(0.75) + below(n, x, 0.3), math.log(0.25) + not_worse(events, 3.0)
        )
        level = 0.02 / ((step + 1) * (step + 2)) * 0.9
        results.append(
            {"ln_e": worse(events, 1.5), "promote": float(proof), "threshold": -math.log(level)}
            | {"units": n, "events": x}
        )
    return {"requests": requests, "results": results}


def compute() -> dict[str, Any]:
    rng = random.Random(1)
    golden: dict[str, Any] = {
        "ratios": [],
        "rates": [],
        "mismatches": [],
        "shares": [],
        "bounded": [],
    }
    for _ in range(40):
        weights = [
            rng.choice([0.001, 0.01, 0.05, 0.25, 0.5, 0.9]) for _ in range(rng.randint(1, 3))
        ]
        r0 = rng.choice([1.0, 1.5, 2.0, 3.0])
        cells = [[w, rng.randint(0, 60), rng.randint(0, 60)] for w in weights]
        events = [(arm < 1, w) for w, x, y in cells for arm in [0] * int(x) + [1] * int(y)]
        golden["ratios"].append(
            {
                "cells": cells,
                "r0": r0,
                "worse": worse(events, r0),
                "not_worse": not_worse(events, 2 * r0),
            }
        )
        n, q = rng.randint(1, 5000), rng.choice([0.001, 0.01, 0.05, 0.3])
        bad = rng.choice([0, 0, rng.randint(0, n), min(n, rng.randint(0, 5))])
        golden["rates"].append(
            {"n": n, "bad": bad, "q": q, "below": below(n, bad, q), "above": above(n, bad, q)}
        )
        w, x, y = weights[0], rng.randint(0, 5000), rng.randint(0, 50000)
        golden["mismatches"].append({"w": w, "canary": x, "stable": y, "ln_e": mismatch(w, x, y)})
        alpha = rng.choice([0.01, 0.05])
        low, high = share(n, bad, alpha)
        golden["shares"].append({"n": n, "good": bad, "alpha": alpha, "low": low, "high": high})
        values = [round(rng.betavariate(2, 5), 6) for _ in range(rng.randint(1, 60))]
        low, high = bounded(values, alpha)
        golden["bounded"].append({"values": values, "alpha": alpha, "low": low, "high": high})
    golden["fleets"] = [fleet(seed) for seed in range(5)]
    return golden


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12) if isinstance(a, float) else a == b


def main() -> None:
    golden = json.loads(json.dumps(compute()))
    if sys.argv[1:] == ["--check"]:
        if not same(golden, json.loads(GOLDEN.read_text())):
            sys.exit(f"{GOLDEN.name} is not what the oracle computes")
        print(f"{GOLDEN.name} is what the oracle computes")
    else:
        GOLDEN.write_text(json.dumps(golden, separators=(",", ":")).replace("},", "},\n") + "\n")


if __name__ == "__main__":
    main()

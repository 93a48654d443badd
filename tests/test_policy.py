"""The comparison of the default policy with the one before it: results/policy.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"

sys.path.insert(0, str(RESULTS))  # as `python results/policy.py` has it
policy = importlib.import_module("policy")


def test_the_page_is_what_the_kept_studies_say() -> None:
    before = pd.read_csv(RESULTS / policy.BEFORE)
    page = policy.page(policy.compared(before, policy.measured(RESULTS)))
    assert page == (RESULTS / "policy.md").read_text(encoding="utf-8"), "run results/policy.py"


def test_changes_are_paired_by_seed_and_variants_stand_beside_the_default() -> None:
    before = pd.DataFrame(
        [("ctrl_in", name, seed, 0.5 + 0.1 * seed) for name in policy.NAMES for seed in (0, 1, 2)],
        columns=["study", "measure", "seed", "value"],
    )
    after = pd.concat(
        before[before["seed"] > 0].assign(method=method, value=before["value"] + more)
        for method, more in (("moe", -0.02), ("symmetries", 0.01))
    )
    page = policy.page(policy.compared(before, after))
    assert "| ctrl_in | 65.0 | 63.0 | -2.0 [-2.0, -2.0] | 0.65 | 0.63 |" in page
    assert "| ctrl_in (`symmetries = 4`) | 65.0 | 66.0 | +1.0 [+1.0, +1.0] |" in page
    assert "over 1 studies: -2.00 points; the worst: -2.00. With the option" in page

"""What study.json says: studies from before can go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl_moe import load_scenario
from cl_moe.runs.folder.description import describe, differences
from cl_moe.runs.folder.files import read_json
from cl_moe.runs.planning import make_plan

RESULTS = Path(__file__).parents[3] / "results"
KEPT = sorted(path.parent for path in RESULTS.glob("*/study.json"))


def test_there_are_studies_kept() -> None:
    assert len(KEPT) > 10


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_a_study_that_is_kept_is_what_its_scenario_asks_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that ``cl-moe unpack`` and then ``cl-moe run`` go on with it."""
    there = read_json(folder / "study.json")
    plan = make_plan(folder.name, curves=there["spec"]["curves"])
    here = describe(plan, [])
    sources = {"sources", "tasks", "probes"}  # which slots were taken depends on the data at hand
    kept, asked = ({k: v for k, v in d["spec"].items() if k not in sources} for d in (there, here))
    assert list(differences(kept, asked, "")) == []
    methods = {m["name"]: m for m in here["methods"]}
    for method in there["methods"]:
        method["chosen"] = None
        now = methods.get(method["name"], method)  # the scenario may have other methods by now
        assert list(differences(method, now, method["name"])) == []


def test_keys_that_came_later_are_told_where_they_matter() -> None:
    long = load_scenario("long_stream")
    spec = describe(make_plan(long), [])["spec"]
    assert "recurring" not in spec["generate"]
    assert not {"heads", "evaluate_every", "resident"} & {*spec["training"], *spec["network"]}
    other = long.with_overrides(
        ["generate.recurring=0.5", "training.evaluate_every=2", "network.resident=3"]
    )
    changed = describe(make_plan(other), [])["spec"]
    assert changed["generate"]["recurring"] == 0.5
    assert changed["training"]["evaluate_every"] == 2
    assert "resident" not in changed["network"]  # it changes no row

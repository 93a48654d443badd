from __future__ import annotations

import csv
from pathlib import Path

from benchmarks.measuring import Page, quotient, side_by_side, spread


def test_every_variant_takes_its_turn_in_every_round_and_warming_up_is_not_kept() -> None:
    calls: list[str] = []
    variants = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = side_by_side(variants, rounds=4, warmup=2)
    rounds = [set(calls[start : start + 3]) for start in range(0, len(calls), 3)]
    assert rounds == [set("abc")] * 6
    assert {name: len(found) for name, found in times.items()} == dict.fromkeys("abc", 4)


def test_a_quotient_pairs_rounds_so_that_a_slow_round_falls_on_both() -> None:
    assert quotient("b / a", [2.0, 200.0, 2.0], [1.0, 100.0, 1.0]).high == 2.0


def test_a_page_tells_what_was_asked_and_what_was_missed(tmp_path: Path) -> None:
    page = Page("speed", "How fast", "One against the other.", tmp_path)
    page.add("loop", [spread("missed", [2.0, 2.0], at_most=1.5), spread("told", [3.0, 3.0])])
    page.note("Tried: nothing.")
    page.write()
    text = (tmp_path / "speed.md").read_text()
    assert "| missed | 2 | 2 to 2 | ≤ 1.5 | missed by 0.5 |" in text
    assert "| told | 3 | 3 to 3 |  |  |" in text
    assert "make bench BENCH=speed" in text
    assert text.endswith("Tried: nothing.\n")
    rows = list(csv.DictReader((tmp_path / "speed.csv").read_text().splitlines()))
    assert [(r["what"], float(r["median"]), r["at_most"]) for r in rows] == [
        ("missed", 2.0, "1.5"),
        ("told", 3.0, ""),
    ]

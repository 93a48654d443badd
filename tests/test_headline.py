"""The README's sentence and the page of verdicts say what the studies say: results/headline.py."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from cl_moe import InputError, load_study
from cl_moe.analysis.data import StudyData

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"

sys.path.insert(0, str(RESULTS))  # as `python results/headline.py` has it
headline = importlib.import_module("headline")

KINDS = "<!-- kinds: written -->\n<!-- end of kinds -->\n"
MARKS = "<!-- headline: written -->\n{}<!-- end of headline -->\n"


@pytest.fixture(scope="module")
def study() -> StudyData:
    return load_study(RESULTS / headline.STUDY)


def test_the_readme_and_the_page_are_those_that_make_claims_writes(study: StudyData) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert headline.with_sentence(readme, "headline", headline.sentence(study)) == readme, (
        "run `make claims`"
    )
    page = (RESULTS / "headline.md").read_text(encoding="utf-8")
    for line in headline.page({headline.STUDY: study}).splitlines():
        assert line in page, "run `make claims`"


def test_a_selection_says_so_and_links_all(study: StudyData) -> None:
    found = headline.selection(study)
    assert sorted(found.methods) == ["dense", "ewc", "joint", "mntdp", "moe", "single_task"]
    start = "Selection: 6 of 17 methods. Shown are"
    assert found.note.startswith(start)
    assert "2 rich, 4 low resource, 1 unrelated" in found.note


def test_a_sentence_says_of_which_tasks_it_speaks(study: StudyData) -> None:
    said = headline.sentence(study)
    kinds = "Averages are means of 7 tasks: 2 rich, 4 low resource, 1 unrelated; 5 seeds. Verdict: "
    assert said.startswith(kinds)


def test_the_old_sentence_is_replaced() -> None:
    first = headline.with_sentence(MARKS.format(""), "headline", "one")
    assert first == MARKS.format("one\n")
    assert headline.with_sentence(MARKS.format("old\nlines\n"), "headline", "one") == first
    with pytest.raises(InputError, match="end of kinds"):
        headline.with_sentence("no marks", "kinds", "one")


def test_main_writes_both_or_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    shutil.copytree(RESULTS / headline.STUDY, results / headline.STUDY)
    readme = tmp_path / "README.md"
    readme.write_text("no marks", encoding="utf-8")
    assert headline.main([str(results)]) == 1
    assert "end of headline" in capsys.readouterr().err
    assert not (results / "headline.md").exists()
    readme.write_text(MARKS.format("") + KINDS, encoding="utf-8")
    assert headline.main([str(results)]) == 0
    assert "Verdict: moe" in readme.read_text(encoding="utf-8")
    assert "images +" in readme.read_text(encoding="utf-8")
    assert "| recurring |" in (results / "kinds.md").read_text(encoding="utf-8")
    assert "Selection: 6 of 17" in (results / "headline.md").read_text(encoding="utf-8")
    assert headline.main([str(tmp_path / "absent")]) == 1

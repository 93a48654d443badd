"""Each sentence of docs/security.md names tests, and these exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SENTENCES = [line for line in PAGE.splitlines() if line.startswith("- ")]


def test_there_are_sentences() -> None:
    assert len(SENTENCES) > 10


@pytest.mark.parametrize("line", SENTENCES, ids=lambda line: line[2:40])
def test_a_sentence_has_a_test(line: str) -> None:
    found = re.search(r"<!-- ([\w/]+): ([\w, ]+) -->$", line)
    assert found is not None, line
    text = (ROOT / "tests" / f"{found[1]}.py").read_text(encoding="utf-8")
    for name in found[2].split(", "):
        assert f"def {name}(" in text, name

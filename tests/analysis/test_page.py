from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.document import report

VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Collects images and refuses tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_stands_on_its_own(
    study_of: Callable[..., StudyData], tmp_path: Path
) -> None:
    nan = float("nan")
    data = study_of({"a<b": [[[0.9, nan], [0.8, 0.7]]]}, name="x & <y>")
    text = report(data, tmp_path / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.images) == 3  # forgetting, average accuracy, accuracy matrix
    assert all(image.startswith("data:image/png;base64,") for image in checker.images)
    assert "<title>x &amp; &lt;y&gt;</title>" in text
    assert "a&lt;b" in text
    assert "a<b" not in text

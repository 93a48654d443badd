"""A study whose every name is hostile runs, and is shown, drawn and exported as it reads."""

from __future__ import annotations

import html.parser
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmarks.reliability.hostile import UNPRINTABLE, names, texts
from cl_moe.analysis import plot_all, remarks, rich_table, table_data
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.document import report
from cl_moe.analysis.frames import ROW_COLUMNS, TASK_COLUMNS
from cl_moe.errors import InputError
from cl_moe.runs.folder.digests import write_digests

QUICK = settings(
    deadline=None,
    suppress_health_check=[*HealthCheck],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a figure takes too long to shrink
)
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "div", "table",
    "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption",
}  # fmt: skip
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

SCENARIO = """
name = "[_]$x$ <b> [a](javascript:b)"
title = "[/] <script>alert(1)</script>"
description = '''
<img src=x onerror=alert(1)> [a](javascript:alert(1))
\\u001b[31m red'''
seeds = 1
baseline = "[/]"

[sources."[/] <b>"]
type = "synthetic"
dim = 4
classes = 2

[[tasks]]
name = "[/bold] $\\\\frac$ <script>"
source = "[/] <b>"
group = "[/]"
relation = "<!-- [x](javascript:y)"
per_class = 8
test_per_class = 4

[[tasks]]
name = "../../$x$|"
source = "[/] <b>"
group = "[red] | `"
per_class = 8
test_per_class = 4

[network]
hidden = [4]

[training]
epochs = 1
min_steps = 0

[[methods]]
name = "[/]"
type = "dense"

[[methods]]
name = "../..//:warning:$\\\\frac$|</td>"
type = "moe"

[[methods]]
name = "CON"
type = "single_task"
"""


def _call(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    from cl_moe.cli import main

    monkeypatch.setattr(sys, "argv", ["cl-moe", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out + said.err


class _Page(html.parser.HTMLParser):
    """The text of a page, which holds no other elements and attributes than a report has."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""

    def handle_starttag(self, tag, attrs):
        assert tag in ELEMENTS, tag
        assert {name for name, _ in attrs} <= {
            "lang", "charset", "name", "content", "class", "alt", "width", "src"
        }  # fmt: skip
        assert all(v.startswith("data:image/png;") for k, v in attrs if k == "src")

    def handle_comment(self, data):
        raise AssertionError(data)

    def handle_data(self, data):
        self.text += data


def _html_text(page: str) -> str:
    reader = _Page()
    reader.feed(page)
    reader.close()
    assert not OBEYED.search(page)
    return reader.text


def _markdown_text(page: str, own: frozenset[str] = frozenset()) -> str:
    """Return the text of a page; no name in it is HTML, a link, code or emphasis."""
    assert not OBEYED.search(page)
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = []
    for token in reader.parse(page):
        assert token.type not in {"html_block", "code_block", "hr", "blockquote_open"}, token
        for part in token.children or []:
            assert part.type in {"text", "text_special", "strong_open", "strong_close", *own}, part
            found.append(part.content)
    return "".join(found)


def test_a_study_of_hostile_names_runs_and_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.toml").write_text(SCENARIO)
    before = set(tmp_path.parent.rglob("*"))
    commands = (
        ("check", "hostile.toml"),
        ("run", "hostile.toml", "--out", "study", "--no-figures"),
        ("summary", "study"),
        ("summary", "study", "--json"),
        ("plot", "study", "--format", "png,svg"),
        ("report", "study"),
        ("report", "study", "--out", "study.md"),
        ("export", "study", "kept"),
        ("unpack", "kept", "again", "--without", "CON"),
        ("run", "hostile.toml", "--out", "again", "--methods", "CON", "--no-figures"),
    )
    for words in commands:
        code, said = _call(monkeypatch, capsys, *words)
        assert code == 0, said
        assert not OBEYED.search(said), words
        if words[0] == "summary" and "--json" not in words:
            assert "[/]" in said
            assert "[red] | `" in said
            assert "../..//:warning:$\\frac$|</td>" in said
    for page in ("study.md", "kept/README.md"):
        text = _markdown_text(Path(page).read_text(), frozenset({"image"}))
        assert "[_]$x$ <b> [a](javascript:b)" in text
        assert "../../$x$|" in text
    assert "<script>alert(1)</script>" in text
    assert "[/bold] $\\frac$ <script>" in _html_text(Path("study/report.html").read_text())
    new = set(tmp_path.parent.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path) for path in new)  # no name is a path


@pytest.mark.parametrize("text", [t for t in UNPRINTABLE if not "\ud800" <= t <= "\udfff"])
@pytest.mark.parametrize("key", ["group", "relation", "name"])
def test_names_that_are_not_printed_are_refused(tmp_path, monkeypatch, capsys, key, text):
    monkeypatch.chdir(tmp_path)
    escaped = "".join(f"\\U{ord(c):08x}" for c in text)
    body = SCENARIO.replace("[[tasks]]", f'[[tasks]]\n{key} = "a{escaped}b"', 1)
    first = body.index(f"\n{key} = ", body.index("[[tasks]]") + 15)
    line = body[first + 1 :].partition("\n")[0]
    (tmp_path / "bad.toml").write_text(body.replace(f"{line}\n", "", 1))
    code, said = _call(monkeypatch, capsys, "check", "bad.toml")
    assert code == 2
    assert f"tasks[0].{key}" in said
    assert "not a valid name" in said
    assert not OBEYED.search(said)


@given(text=texts.filter(lambda text: "\0" not in text))
@settings(QUICK, max_examples=15)
def test_words_of_the_command_line_are_quoted(text, monkeypatch, capsys):
    for words in (["run", text], ["list", text], [text], ["list", "gates", text],
                  ["run", "demo", "--seeds", text], ["run", "demo", "--set", text],
                  ["run", "demo", "--methods", text], ["plot", text], ["run", "demo", f"--{text}"],
                  ["check", "task", "--kind", text], ["export", text, text]):  # fmt: skip
        if text.strip() in ("demo", "--help") or words[-1] == "--":
            continue
        code, said = _call(monkeypatch, capsys, *words)
        assert code in (0, 2), said
        assert not OBEYED.search(said)


def _study(named: list[str], said: str) -> StudyData:
    """Return a study of two tasks and two methods under the names, with an event that says so."""
    name, one, two, group, relation, left, right = named
    tasks = [(one, group, None, None), (two, None, one, relation)]
    rows = [
        (method, seed, after, task, metric, 0.5 + 0.1 * seed + 0.1 * (method == left))
        for method in (left, right)
        for seed in range(3)
        for after in range(2)
        for task in (one, two)[: after + 1]
        for metric in ("accuracy",)
    ]
    event = {
        "method": left, "seed": 0, "task": 0, "name": said, "kind": said, "sentence": said,
        "path": [[said]], "usage": [{said: 1.0}], "new_experts": [[0, said]],
    }  # fmt: skip
    table = [
        (k, task, of, origin, how, 8, 8, 2, False)
        for k, (task, of, origin, how) in enumerate(tasks)
    ]
    return StudyData(
        rows=pd.DataFrame(rows, columns=list(ROW_COLUMNS)).assign(epoch=np.nan),
        tasks=pd.DataFrame(table, columns=list(TASK_COLUMNS)),
        methods=pd.DataFrame({"method": [left, right], "type": ["moe", "dense"]}),
        events=[event],
        baseline=right,
        name=name,
        sources={one: said},
    )


seven = st.lists(names, min_size=7, max_size=7, unique=True)


@given(named=seven, said=texts)
@settings(QUICK, max_examples=15)
def test_names_and_messages_are_shown_as_they_read(named, said):
    from rich.console import Console

    data = _study(named, said)
    screen = io.StringIO()
    console = Console(file=screen, width=2000, force_terminal=True, color_system=None)
    console.print(rich_table(table_data(data)))
    shown = re.sub(r"\x1b\[\d*m", "", screen.getvalue())  # rich's own styles
    assert not OBEYED.search(shown)
    for name in (named[0], named[5], named[6]):
        assert name in shown
    assert named[3].replace("_", " ") in shown
    assert "".join(remarks(data))
    page = _markdown_text(report(data))
    for name in (named[0], named[1], named[5]):
        assert name in page


@given(named=seven, said=texts)
@settings(QUICK, max_examples=1)
@pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")
def test_names_are_drawn_as_they_read(named, said, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    data = _study(named, said)
    text = _html_text(report(data, folder / "page.html").read_text())
    assert named[5] in text
    for path in plot_all(data, folder / "figures", ("svg",)):
        assert path.parent == folder / "figures"
        assert not OBEYED.search(path.read_text())


@pytest.mark.parametrize("text", [t for t in UNPRINTABLE if t.strip()])
@pytest.mark.parametrize("place", range(5))
def test_a_study_refuses_names_that_are_not_printed(place, text):
    named = [f"n{k}" for k in range(7)]
    named[place] += text
    with pytest.raises(InputError, match="give a text on one line"):
        _study(named, "said")


def test_a_folder_with_hostile_messages_is_shown(tmp_path, monkeypatch, capsys):
    """Failures and events of a folder may come from anyone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.toml").write_text(SCENARIO)
    _call(monkeypatch, capsys, "run", "hostile.toml", "--out", "study", "--no-figures")
    for file in tmp_path.glob("study/runs/*/*/events.jsonl"):
        events = [json.loads(text) for text in file.read_text().splitlines()]
        for event in events:
            event["sentence"] += "\x1b[2J\u202e<b>"
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
        write_digests(file.parent)  # as whoever wrote them would
    (tmp_path / "study/failures").mkdir()
    (tmp_path / "study/failures/x.txt").write_text("dense, seed 0: \x1b]0;title\x07\n")
    code, said = _call(monkeypatch, capsys, "summary", "study")
    assert code == 0
    assert "\\x1b]0;title\\x07" in said
    assert not OBEYED.search(said)
    assert _call(monkeypatch, capsys, "report", "study")[0] == 0
    assert "\\x1b[2J\\u202e<b>" in _html_text(Path("study/report.html").read_text())

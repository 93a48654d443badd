"""The README and the pages in docs/ do what they say: their code blocks are run as they stand.

Blocks of ``python`` and ``console`` (its lines that start with ``$``) of a page are run in order,
in one empty folder, and must end well. All are run in this process, as importing torch anew for
each would take longer than all of them; a command other than ``cl-moe`` is started. A comment
before a block, which a reader of the rendered page does not see, says otherwise:

``<!-- test: skip, REASON -->``
    The block is not run (it installs, or it takes a data set that is not here).
``<!-- test: save as NAME -->``
    The block is written to the file ``NAME`` instead.
``<!-- test: smaller "OLD" "NEW" -->``
    ``OLD`` is replaced by ``NEW`` before the block is run, so that it takes seconds; ``OLD`` must
    be in the block, so that the comment cannot go stale. A block may have several.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cl_moe.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
COMMENT = re.compile(r"^<!-- test: (skip|save as|smaller)(.*?)-->$")


@dataclass
class Block:
    """A fenced block, with the line it starts on and the comments before it."""

    line: int
    language: str
    comments: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""

    def smaller(self) -> str:
        """Return the text, shrunk as its comments say."""
        text = self.text
        for kind, argument in self.comments:
            if kind == "smaller":
                old, new = shlex.split(argument)
                assert old in text, f"README.md:{self.line}: '{old}' is not in this block"
                text = text.replace(old, new)
        return text


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a Markdown text."""
    found: list[Block] = []
    comments: list[tuple[str, str]] = []
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("```"):
            if not inside:
                found.append(Block(number, line[3:].strip(), comments))
                comments = []
            inside = not inside
        elif inside:
            found[-1].text += line + "\n"
        elif match := COMMENT.match(line.strip()):
            comments.append((match[1], match[2].strip(" ,")))
    return found


def commands(text: str) -> list[str]:
    r"""Return the commands of a console block; a backslash goes on in the next line.

    >>> commands("$ cl-moe run a \\\n    --seeds 1\nsome output\n$ cl-moe list gates\n")
    ['cl-moe run a     --seeds 1', 'cl-moe list gates']
    """
    lines = text.replace("\\\n", " ").splitlines()
    return [line[2:].partition("  #")[0].strip() for line in lines if line.startswith("$ ")]


@contextmanager
def ending_well(what: str) -> Iterator[None]:
    """Fail where what is run exits with anything but 0."""
    code: object = 0
    try:
        yield
    except SystemExit as ended:
        code = ended.code
    assert not code, f"{what} exited with {code}"


def run_command(words: list[str], at: str) -> None:
    """Run a command in the current folder; ``cl-moe`` without starting a process."""
    if words[0] != "cl-moe":
        done = subprocess.run(words, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{at}: {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return
    with pytest.MonkeyPatch.context() as patch, ending_well(f"{at}: {' '.join(words)}"):
        patch.setattr(sys, "argv", words)
        main()


def run_block(block: Block, page: str = "README.md") -> None:
    """Run a block in the current folder; fail with its place."""
    at = f"{page}:{block.line}"
    kinds = dict(block.comments)
    if "skip" in kinds:
        assert kinds["skip"], f"{at}: say why this block is skipped"
    elif "save as" in kinds:
        Path(kinds["save as"]).write_text(block.smaller(), encoding="utf-8")
    elif block.language == "python":
        # with the page's lines, so that a traceback names the right one
        code = compile("\n" * block.line + block.smaller(), at, "exec")
        with ending_well(at):
            exec(code, {"__name__": "__main__"})
    elif block.language == "console":
        found = commands(block.smaller())
        assert found, f"{at}: no line starts with '$ '"
        for command in found:
            run_command(shlex.split(command), at)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8")):
        run_block(block, page.name)


def test_the_readme_is_one_screen_with_two_commands_and_ten_lines_of_python() -> None:
    text = README.read_text(encoding="utf-8")
    found = {block.language: block for block in blocks(text)}
    assert len(text.splitlines()) <= 70
    assert len(commands(found["console"].text)) == 2
    assert len(found["python"].text.splitlines()) <= 10


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise SystemExit(3)\n```\n",
        "```console\n$ cl-moe list sauces\n```\n",
        "```console\n$ false\n```\n",
    ],
)
def test_a_failing_block_is_noticed(text: str) -> None:
    (block,) = blocks(f"text\n{text}")
    with pytest.raises(AssertionError, match=r"README\.md:2"):
        run_block(block)


def test_a_traceback_names_the_line_of_the_page() -> None:
    (block,) = blocks("text\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as raised:
        run_block(block)
    assert raised.traceback[-1].lineno + 1 == 4


def test_a_stale_comment_is_noticed() -> None:
    (block,) = blocks('<!-- test: smaller "seeds=5" "seeds=1" -->\n```python\nprint(1)\n```\n')
    with pytest.raises(AssertionError, match="is not in this block"):
        run_block(block)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "results").glob("*.md"))]
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]

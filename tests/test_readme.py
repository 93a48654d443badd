"""The README does what it says: its code blocks are run as they stand.

Blocks of ``python`` and ``console`` (its lines that start with ``$``) are run in order, in one
empty folder, and must exit with 0. A comment before a block, which a reader of the rendered page
does not see, says otherwise:

``<!-- test: skip, REASON -->``
    The block is not run (it installs, or it takes a data set that is not here).
``<!-- test: save as NAME -->``
    The block is written to the file ``NAME`` instead.
``<!-- test: smaller "OLD" "NEW" -->``
    ``OLD`` is replaced by ``NEW`` before the block is run, so that it takes seconds; ``OLD`` must
    be in the block, so that the comment cannot go stale. A block may have several.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
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


def _run(command: list[str], folder: Path, at: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, f"{at}: {' '.join(command)}\n{done.stdout}\n{done.stderr}"


def run_block(block: Block, folder: Path) -> None:
    """Run a block in ``folder``; fail with its place and output."""
    at = f"README.md:{block.line}"
    kinds = dict(block.comments)
    if "skip" in kinds:
        assert kinds["skip"], f"{at}: say why this block is skipped"
    elif "save as" in kinds:
        (folder / kinds["save as"]).write_text(block.smaller(), encoding="utf-8")
    elif block.language == "python":
        script = folder / f"readme_line_{block.line}.py"
        script.write_text(block.smaller(), encoding="utf-8")
        _run([sys.executable, script.name], folder, at)
    elif block.language == "console":
        found = commands(block.smaller())
        assert found, f"{at}: no line starts with '$ '"
        for command in found:
            _run(shlex.split(command), folder, at)


def test_every_block_runs(tmp_path: Path) -> None:
    found = blocks(README.read_text(encoding="utf-8"))
    assert {"python", "console"} <= {block.language for block in found}
    for block in found:
        run_block(block, tmp_path)


def test_a_failing_block_is_noticed(tmp_path: Path) -> None:
    (block,) = blocks("text\n```python\nraise SystemExit(3)\n```\n")
    with pytest.raises(AssertionError, match=r"README\.md:2"):
        run_block(block, tmp_path)


def test_a_stale_comment_is_noticed(tmp_path: Path) -> None:
    (block,) = blocks('<!-- test: smaller "seeds=5" "seeds=1" -->\n```python\nprint(1)\n```\n')
    with pytest.raises(AssertionError, match="is not in this block"):
        run_block(block, tmp_path)


@pytest.mark.parametrize(
    "page", [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]

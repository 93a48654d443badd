"""Damaged files: of a study with its models, of an export, and of the checkpoints of a run.

Each kind of damage is done to each file. A study and an export must be refused, or read as if they
were not damaged; an unfinished study must end as if its checkpoints were not damaged.
"""

from __future__ import annotations

import dataclasses
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.reliability.comparing import compared
from benchmarks.reliability.parts.commands import NEW
from benchmarks.reliability.parts.full_disk import COMMAND, FullDisk, write_scenario
from benchmarks.reliability.tally import Result, Tally, call, inside
from cl_moe.errors import InputError
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.unpack import unpack

__all__ = ("CASES", "DAMAGE", "Case", "run")

CASES = 1_000  # more than there are: all
BLOCK = 64
METHODS = ("dense", "moe", "ewc")
PREDICT = ("predict", "--task=a", "--out=-")

Damage = Callable[[bytes], bytes]


def _flipped(share: float) -> Damage:
    def flip(content: bytes) -> bytes:
        at = int(share * (len(content) - 1))
        return content[:at] + bytes(byte ^ 1 for byte in content[at : at + 1]) + content[at + 1 :]

    return flip


def _line_twice(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    middle = len(lines) // 2
    return b"".join(lines[: middle + 1] + lines[middle:])


def _other_digit(content: bytes) -> bytes:
    found = [*re.finditer(rb"\d", content)]
    at = found[len(found) // 2].start() if found else 0
    digit = b"%d" % ((int(content[at : at + 1]) + 1) % 10) if found else b""
    return content[:at] + digit + content[at + len(digit) :]


def _zeroed(content: bytes) -> bytes:
    at = max(0, len(content) - BLOCK) // 2
    return content[:at] + bytes(len(content[at : at + BLOCK])) + content[at + BLOCK :]


DAMAGE: dict[str, Damage] = {
    "first byte": _flipped(0),
    "a byte at a quarter": _flipped(0.25),
    "middle byte": _flipped(0.5),
    "last byte": _flipped(1),
    "cut in half": lambda content: content[: len(content) // 2],
    "last byte cut": lambda content: content[:-1],
    "empty": lambda content: b"",
    "a line twice": _line_twice,
    "another digit": _other_digit,
    "a block of zeros": _zeroed,
}
"""Kinds of damage to the content of a file; of others, see :func:`_cases`."""


class Case(NamedTuple):
    """One kind of damage to one file.

    Attributes:
        folder: the folder, which is copied.
        file: the file's path in it.
        kind: what is done.
        contents: the new content of files, by their paths; None: the file is removed.
    """

    folder: str
    file: str
    kind: str
    contents: dict[str, bytes | None]

    def apply(self) -> None:
        """Copy the folder to ``damaged``, and damage the copy."""
        shutil.copytree(self.folder, "damaged")
        for name, content in self.contents.items():
            path = Path("damaged", name)
            path.unlink() if content is None else path.write_bytes(content)


def _cases(folder: str, within: str = "") -> Iterator[Case]:
    """Yield all kinds of damage to all files of a folder, or of a folder within it."""
    files = [path for path in sorted(Path(folder, within).rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    contents = [path.read_bytes() for path in files]
    for k, (name, content) in enumerate(zip(names, contents, strict=True)):
        kinds: dict[str, dict[str, bytes | None]] = {
            kind: {name: damage(content)} for kind, damage in DAMAGE.items()
        }
        other, path = (k + 1) % len(names), Path(name)
        kinds["swapped"] = {name: contents[other], names[other]: content}
        kinds["removed"] = {name: None}
        kinds["another file"] = {(path.parent / f"more-{path.name}").as_posix(): content}
        if digits := re.search(r"\d+", path.name):  # as that of a later checkpoint
            later = f"{path.name[: digits.start()]}999{path.name[digits.end() :]}"
            kinds["a later file"] = {(path.parent / later).as_posix(): content}
        for kind, new in kinds.items():
            if new.get(name, b"") != content:
                yield Case(folder, name, kind, new)


def run(cases: int) -> Result:
    """Damage files, all of them or a sample, and read them or go on with them."""
    tally = Tally("damaged files")
    with tempfile.TemporaryDirectory() as name, inside(Path(name)):
        _make()
        every = [*_cases("study"), *_cases("packed"), *_cases("unfinished", "checkpoints")]
        some = random.Random(0).sample(every, min(cases, len(every)))
        right = {kind: _read(kind, kind) for kind in ("study", "packed")}
        ends = dict.fromkeys(("refused", "harmless", "ended", "failed"), 0)
        for case in some:
            case.apply()
            ends[_try(tally, case, right)] += 1
            shutil.rmtree("damaged")
    return tally.result(
        "kinds of damage to files of a study, an export and the checkpoints of a run; wrong: "
        f"another number is accepted, or a run does not go on; {ends['refused']} refused, "
        f"{ends['harmless']} accepted with the same numbers (in pages, figures and further files, "
        f"which are not read, and in blanks), {ends['ended']} runs went on"
    )


def _make() -> None:
    """Make a study, its export, and a study that was interrupted by a full disk."""
    write_scenario()
    Path(NEW).write_text("p,q,r,s\n1,2,3,4\n5,6,7,8\n")
    with FullDisk() as disk:
        made = call([*COMMAND, "--out=study"])
        k = disk.count
        assert made.code == 0, made.text
        while len([*Path("unfinished").glob("checkpoints/*/checkpoint-*.json")]) < 2:
            shutil.rmtree("unfinished", ignore_errors=True)
            k -= 2
            disk.at(k)
            call([*COMMAND, "--out=unfinished"])
    made = call(["export", "study", "packed"])
    assert made.code == 0, made.text


def _try(tally: Tally, case: Case, right: dict[str, list[object]]) -> str:
    """Read the damaged folder or go on with it; return how that ended."""
    given = f"{case.folder}/{case.file}, {case.kind}"
    words = {"unfinished": [*COMMAND, "--out=damaged"]}.get(case.folder, ["summary", "damaged"])
    said = tally.commands(words, given)
    if said is None or said.code not in (0, 2):  # which is counted
        return "failed"
    if case.folder == "unfinished":
        bad = [said.text[-300:]] if said.code else compared(Path("study"), Path("damaged"))
        if bad:
            tally.failed(given, "; ".join(bad))
        return "ended"
    try:
        found = _read(case.folder, "damaged")
    except Exception as error:  # noqa: BLE001 - that is what is counted
        tally.failed(given, f"{type(error).__name__}: {error}", traceback=True)
        return "failed"
    if any(
        one not in (None, wanted) for one, wanted in zip(found, right[case.folder], strict=True)
    ):
        tally.failed(given, "other numbers are accepted")
    return "refused" if None in found else "harmless"


def _read(kind: str, folder: str) -> list[object]:
    """Return the numbers, the predictions or the study in an export; None: it is refused."""
    try:
        study = load_study(folder)
        names = {field.name for field in dataclasses.fields(study)} - {"folder", "note"}
        fields = {name: getattr(study, name) for name in sorted(names)}
        found: list[object] = [
            {n: f.to_csv() if isinstance(f, pd.DataFrame) else f for n, f in fields.items()}
        ]
    except InputError:
        found = [None]
    if kind == "study":
        said = [call([*PREDICT, f"--method={method}", folder, NEW]) for method in METHODS]
        return [*found, *(None if code == 2 else (code, text) for code, text in said)]
    try:
        unpack(folder, "unpacked")
    except InputError:
        return [*found, None]
    contents = {path: path.read_bytes() for path in Path("unpacked").rglob("*") if path.is_file()}
    shutil.rmtree("unpacked")
    return [*found, contents]

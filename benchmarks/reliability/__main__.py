"""Run every part, and write ``results/reliability.md``; exit with 1 if anything failed."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks.reliability import parts
from benchmarks.reliability.tally import Result
from cl_moe.escape import markdown
from cl_moe.runs.folder.files import write_text

PAGE = Path(__file__).parents[2] / "results" / "reliability.md"
HEAD = """# What the program withstands

`make reliability` writes this page. Each part gives the program hostile input, or kills, damages or
disturbs what it does, the same way each time. A traceback is an exception that no user should see;
wrong is any other end than the right one, which the notes below the table name: in general, an exit
code besides 0 (done) and 2 (invalid input), control characters on the terminal, or results that are
lost or changed. Failures follow the notes.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts named, or all; a full run writes the page."""
    found = {
        part.name: importlib.import_module(f"{parts.__name__}.{part.name}")
        for part in pkgutil.iter_modules(parts.__path__)
    }
    reader = argparse.ArgumentParser(prog="benchmarks.reliability", description=__doc__)
    reader.add_argument("parts", nargs="*", choices=[*found, []], help="parts; by default all")
    reader.add_argument("--cases", type=int, help="cases of each part; by default its own number")
    given = reader.parse_args(words)
    results = {name: _run(found[name], given.cases) for name in given.parts or found}
    if not given.parts and given.cases is None:
        write_text(PAGE, page(results))
    return int(any(result.failures for result in results.values()))


def _run(part: ModuleType, cases: int | None) -> Result:
    result: Result = part.run(part.CASES if cases is None else cases)
    print(f"{result.name}: {result.cases} cases, {result.tracebacks} tracebacks, "
          f"{result.wrong} wrong, {result.seconds:.0f} s", flush=True)  # fmt: skip
    print(f"  {markdown(result.note)}", flush=True)
    return result


def page(results: Mapping[str, Result]) -> str:
    """Return the page of the results, by the names of their parts.

    >>> text = page({"tables": Result("readers", 10, 0, 1, 2.0, "tables; 'a|b': lost")})
    >>> "| readers | `python -m benchmarks.reliability tables` | 10 | 0 | 1 | 2 |" in text
    True
    """
    head = "| part | command | cases | tracebacks | wrong | seconds |"
    lines = [HEAD, head, "|---|---|---:|---:|---:|---:|"]
    lines += [
        f"| {markdown(r.name)} | `python -m benchmarks.reliability {name}` | {r.cases:,} | "
        f"{r.tracebacks:,} | {r.wrong:,} | {r.seconds:.0f} |"
        for name, r in results.items()
    ]
    cases = sum(result.cases for result in results.values())
    failures = sum(result.failures for result in results.values())
    lines += ["", f"In all: {cases:,} cases, {failures:,} failures.", ""]
    lines += [f"- {markdown(r.name)}: {markdown(r.note)}" for r in results.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""Bring kept studies to the names that cl_moe uses now: ``python results/migrate.py``.

Method names, kinds of decisions and growth options were renamed on 27 November 2026. Numbers stay
as they are: no run was repeated. What is made from a study (its page, figures and summary) is made
again from the migrated rows, by ``cl-moe export``. A study that has the new names already is left
unchanged, so the script may be run twice.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLI = "from cl_moe.cli import main; main()"

METHODS = {
    "alone": "single_task",
    "no_lenses": "no_symmetries",
    "no_take_over": "no_matched",
    "no_answers": "no_predictions",
    "average_only": "ensemble_only",
}
VALUES = {"average": "ensemble", "take over": "matched", "answers": "predictions"}
OPTIONS = {"lenses": "symmetries", "average_up_to": "ensemble_up_to"}
SENTENCES = (
    (r"is answered by an average\b", "is answered by an ensemble"),
    (r"took over the path of (task \d+ '[^']*')", r"uses the path and head of \1, classes matched"),
    (r"(?<=[0-9] )average\b", "ensemble"),
    (r"(?<=[0-9] )take over\b", "matched"),
)
"""Wording of the events' sentences: what was done, and the rival that it was compared with."""
DESCRIPTION = ((r"\bno lens undoes\b", "no symmetry undoes"),)


def renamed(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Return what a JSON file holds with the names of now.

    >>> renamed({"type": "alone", "growth_options": {"lenses": 0, "kinds": ["take over"]}})
    {'type': 'single_task', 'growth_options': {'symmetries': 0, 'kinds': ['matched']}}
    """
    if isinstance(value, dict):
        return {OPTIONS.get(key, key): renamed(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, path) for inner in value]
    if not isinstance(value, str):
        return value
    last = path[-1] if path else ""
    if last in ("name", "type", "method", "baseline"):
        return METHODS.get(value, value)
    if last in ("kind", "kinds", "reads"):
        return VALUES.get(value, value)
    pairs = {"sentence": SENTENCES, "description": DESCRIPTION}.get(last, ())
    for pattern, new in pairs:
        value = re.sub(pattern, new, value)
    return value


def table(text: str) -> str:
    """Return a CSV table with the method names of now.

    >>> table("method,seed" + chr(10) + "alone,0" + chr(10)).split()
    ['method,seed', 'single_task,0']
    """
    rows = list(csv.reader(io.StringIO(text)))
    if "method" not in rows[0]:
        return text
    place, out = rows[0].index("method"), io.StringIO()
    for row in rows:
        row[place] = METHODS.get(row[place], row[place])
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def migrate(study: Path) -> bool:
    """Rename in all that a study keeps; return whether anything was changed."""
    changed = False
    for path in sorted(study.iterdir()):
        packed = path.suffix == ".gz"
        suffix = path.suffixes[-2] if packed else path.suffix
        if suffix not in (".csv", ".json", ".jsonl") or path.name == "environment.json":
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if packed else data).decode()
        if suffix == ".csv":
            new = table(text)
        elif suffix == ".jsonl":
            items = [renamed(json.loads(line)) for line in text.splitlines()]
            new = "".join(json.dumps(item) + "\n" for item in items)
        else:
            new = json.dumps(renamed(json.loads(text)), indent=2) + "\n"
        if new != text:
            changed = True
            path.write_bytes(gzip.compress(new.encode(), mtime=0) if packed else new.encode())
    return changed


def main() -> None:
    """Migrate every study beside this file, and write its page again."""
    for description in sorted(HERE.glob("*/study.json")):
        study = description.parent
        if migrate(study):
            command = f"make results STUDY={study.name}"
            arguments = ["export", str(study), str(study), "--command", command]
            subprocess.run([sys.executable, "-c", CLI, *arguments], check=True)


if __name__ == "__main__":
    main()

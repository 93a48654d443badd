"""Code that files name: what is imported, and what is not."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import cl_moe
from cl_moe import catalog, references
from cl_moe.cli import main
from cl_moe.errors import InputError
from cl_moe.runs.planning import make_plan
from cl_moe.strategies.methods.base import build_method
from cl_moe.strategies.saved import saveable

Check = Callable[..., tuple[int, str, str]]

TOML = """
seeds = 1
[sources.d]
{source}
[[tasks]]
name = "a"
source = "d"
per_class = 5
test_per_class = 5
{task}
[network]
hidden = [4]
{network}
[training]
epochs = 1
min_steps = 0
[[methods]]
name = "dense"
[[methods]]
name = "m"
type = "moe"
{method}
"""
DIGITS = 'type = "digits"'
HOSTILE = """
from pathlib import Path
(Path(__file__).parent / "EXECUTED").write_text("")
def f(*given, **more):
    raise AssertionError("called")
"""
PLACES = {
    "sources.d.type": {"source": 'type = "{}"'},
    "sources.d.any_of[0].type": {"source": 'any_of = [{{ type = "{}" }}]'},
    "function": {"source": 'type = "function"\nfunction = "{}"'},
    "tasks[0].operators[0].operator": {"task": 'operators = ["{}"]'},
    "network.kind": {"network": 'kind = "{}"'},
    "methods[1].gate": {"method": 'gate = "{}"'},
    "methods[1].growth": {"method": 'growth = "{}"'},
    "methods[2].type": {"method": '[[methods]]\nname = "n"\ntype = "{}"'},
    "methods[2].type, in a grid": {"method": '[methods.grid]\ngate = ["task", "{}"]'},
    "methods[2].gate": {
        "method": '[[methods]]\nname = "n"\ntype = "beside.py:f"\ngate = "{}"'  # of a user's method
    },
}
STANDARD = ("os:system", "subprocess:getoutput", "builtins:exec", "os.path:join", "posix:system")
OUTSIDE = ("../outside.py:f", "{out}/outside.py:f", "link.py:f", "sub/../../outside.py:f")
PACKAGES = ("torch:ones", "numpy:save", "cl_moe.runs.folder.files:write_text", "__main__:f")


def scenario(folder: Path, reference: str, **where: str) -> Path:
    """Write a scenario that names a reference at one place."""
    filled = {"source": DIGITS, "task": "", "network": "", "method": ""}
    for key, text in where.items():
        filled[key] = text.format(reference)
    path = folder / "mine.toml"
    path.write_text(TOML.format(**filled), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with hostile code in it and outside of it; the current one is another."""
    inside, elsewhere = tmp_path / "scenario", tmp_path / "elsewhere"
    inside.mkdir()
    (inside / "sub").mkdir()
    elsewhere.mkdir()
    for path in (tmp_path / "outside.py", inside / "beside.py", inside / "module_beside.py"):
        path.write_text(HOSTILE, encoding="utf-8")
    (inside / "link.py").symlink_to(tmp_path / "outside.py")
    monkeypatch.chdir(inside)
    monkeypatch.setattr(references, "_IMPORTED", set())
    monkeypatch.setattr(sys, "path", [*sys.path, str(inside)])
    monkeypatch.delitem(sys.modules, "module_beside", raising=False)
    references._module_of.cache_clear()
    return inside


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Call ``cl-moe`` in this process: exit code, standard output, standard error."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cl-moe", *map(str, words)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def executed(folder: Path) -> bool:
    """Whether any of the hostile files was executed."""
    return any((place / "EXECUTED").exists() for place in (folder, folder.parent))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["check", "run", "estimate"])
def test_the_standard_library_holds_no_parts(
    folder: Path, call: Check, place: str, command: str
) -> None:
    path = scenario(folder, "os:system", **PLACES[place])
    code, out, err = call(command, path, "--allow-code")
    assert (code, out) == (2, "")
    assert "'os:system' is in Python's standard library, which holds no parts" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("reference", STANDARD)
def test_no_way_leads_to_the_standard_library(folder: Path, reference: str) -> None:
    """A module may have imported it; whoever names it, it is no part."""
    (folder / "ways.py").write_text("import os\nfrom subprocess import getoutput\nwrite = open\n")
    for named in (reference, "ways.py:os.system", "ways.py:getoutput", "ways.py:write"):
        for kind in catalog.KINDS:
            with pytest.raises(InputError, match="standard library, which holds no parts"):
                catalog.resolve(kind, named)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("reference", [*OUTSIDE, *PACKAGES])
def test_a_file_names_no_code_from_elsewhere(
    folder: Path, call: Check, place: str, reference: str
) -> None:
    path = scenario(folder, reference.format(out=folder.parent), **PLACES[place])
    code, out, err = call("run", path, "--quiet")
    assert (code, out) == (2, "")
    assert f"{reference.format(out=folder.parent)}' is code that is not an installed part" in err
    assert "allow it with --allow-code (in Python allow_code=True)" in err
    assert not (folder.parent / "EXECUTED").exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("reference", ["beside.py:f", "module_beside:f"])
@pytest.mark.parametrize("command", ["check", "estimate"])
def test_checking_a_hostile_folder_executes_nothing(
    folder: Path, call: Check, place: str, reference: str, command: str
) -> None:
    path = scenario(folder, reference, **PLACES[place])
    code, out, err = call(command, path)
    assert not executed(folder)
    if command == "check":
        assert (code, err) == (0, "")
        said = next(line for line in out.splitlines() if line.startswith("not imported"))
        assert reference in said
        assert "add --allow-code" in said
        assert "methods x 1 seeds" in out
    else:
        assert (code, out) == (2, "")
        assert reference in err
        assert "--allow-code" in err


def test_a_check_without_imports_finds_all_else(folder: Path, call: Check) -> None:
    path = scenario(folder, "beside.py:f", **PLACES["methods[2].type"])
    path.write_text(path.read_text() + '\n[[methods]]\nname = "e"\ntype = "ewc"\nstrenght = 1\n')
    code, _, err = call("check", path, "--set", "training.epochs=0")
    assert code == 2
    assert "strenght: no such parameter" in err
    code, _, err = call("check", scenario(folder, "beside.py:f", method="gate_options = {{k = 0}}"))
    assert "gate_options.k: 0 must be 1 or more" in err
    assert not executed(folder)


def test_a_scenario_that_is_read_imports_nothing(folder: Path) -> None:
    for where in PLACES.values():
        spec = cl_moe.load_scenario(scenario(folder, "beside.py:f", **where))
        spec.with_overrides(["training.epochs=2"])
    assert not executed(folder)


@pytest.mark.parametrize("reference", ["beside.py:f", "module_beside:f", "{0}/beside.py:f"])
def test_a_run_imports_code_beside_the_scenario(folder: Path, reference: str) -> None:
    reference = reference.format(folder)
    with pytest.raises(InputError, match="called"):
        cl_moe.run(scenario(folder, reference, source='type = "{}"'), progress=False)
    assert executed(folder)


def test_a_run_takes_code_from_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scenario(folder, "there.py:f", method='gate = "{}"')
    monkeypatch.chdir(folder.parent / "elsewhere")
    Path("there.py").write_text("from cl_moe.moe.gates.task import TaskGate\nclass f(TaskGate): 1")
    assert make_plan(path).methods[1].parameters == {"gate": "there.py:f"}


def test_code_that_is_allowed_is_announced(
    folder: Path, call: Check, caplog: pytest.LogCaptureFixture
) -> None:
    path = scenario(folder, "../outside.py:f", method='[[methods]]\nname = "n"\ntype = "{}"')
    with caplog.at_level(logging.WARNING):
        code, _, err = call("check", path, "--allow-code")
    assert [r.getMessage() for r in caplog.records] == [f"{path}: imports ../outside.py:f"]
    assert (code, executed(folder)) == (2, True)
    assert "method 'n': cannot be built (AssertionError: called)" in err


def test_python_allows_code_as_well(folder: Path) -> None:
    path = scenario(folder, "../outside.py:f", method='[[methods]]\nname = "n"\ntype = "{}"')
    with pytest.raises(InputError, match="allow_code=True"):
        cl_moe.load_scenario(path)
    assert not executed(folder)
    for read in (cl_moe.load_scenario, make_plan):
        assert read(path, allow_code=True)
    assert executed(folder)


def test_what_the_user_names_is_the_users_word(folder: Path, call: Check) -> None:
    path = scenario(folder, "")
    method = "../outside.py:f"
    assert call("run", path, "--methods", method, "--quiet")[0] == 1  # the method fails
    assert executed(folder)
    for named in ("torch.nn:Linear", "sklearn.datasets:load_wine"):
        assert catalog.resolve("method", named)
    code, _, err = call("check", path, "--set", "methods.m.gate=torch.nn:Linear")
    assert (code, "'torch.nn:Linear' is not a valid gate" in err) == (2, True)
    assert call("check", "os:system")[0] == 2


def test_installed_parts_need_no_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, value = "mine", "beside.py:f"

    monkeypatch.setattr(catalog, "_entry_points", lambda kind: (Entry,) if kind == "method" else ())
    for named in (
        "mine", "beside.py:f", "avalanche.training:Naive", "cl_moe.strategies.methods.ewc:ewc",
    ):  # fmt: skip
        path = scenario(folder, named, method='[[methods]]\nname = "n"\ntype = "{}"')
        assert cl_moe.load_scenario(path).methods[2].type == named
    function = "avalanche.models.utils:avalanche_forward"
    path = scenario(folder, function, method='[[methods]]\nname = "n"\ntype = "{}"')
    with pytest.raises(InputError, match="is not a class; give a strategy of Avalanche"):
        cl_moe.load_scenario(path)


def test_shipped_code_needs_no_permission(folder: Path, call: Check) -> None:
    path = scenario(folder, "text_sets.py:trec", source='type = "{}"')
    assert cl_moe.load_scenario(path).sources["d"].type == "text_sets.py:trec"


def test_the_current_folder_declares_no_entry_points(folder: Path) -> None:
    """A folder that looks like an installed package does not replace the parts of this one."""
    package = folder / "evil-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[cl_moe.method]\ndense = beside:f\n[cl_moe.metric]\nworst = beside:f\n"
    )
    path = scenario(folder, "")
    done = subprocess.run(
        [sys.executable, "-c", "from cl_moe.cli import main; main()", "check", path],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(cl_moe.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not executed(folder)


def saved(context: Any, folder: Path, **changes: Any) -> Path:
    """Save a model whose description names a reference."""
    method = build_method("moe", {}, context)
    path = folder / "model"
    saveable(method.strategy.model, "moe", {}, context).save(path)
    description = path / "model.json"
    content = json.loads(description.read_text())
    content["origin"].update(changes)
    description.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "reference", ["os:system", "model/inside.py:f", "beside.py:f", "../outside.py:f", "torch:ones"]
)
@pytest.mark.parametrize("way", ["type", "gate", "kind"])
def test_a_saved_model_executes_nothing(
    folder: Path, context: Any, call: Check, reference: str, way: str
) -> None:
    network = {**context.network.model_dump(mode="json"), "kind": reference}
    changes: dict[str, Any] = {
        "type": {
            "kind": "method", "type": reference, "parameters": {}, "network": context.network
            .model_dump(mode="json"), "training": context.training.model_dump(mode="json"),
            "classes": [2], "probes": [],
        },
        "gate": {"gate": reference},
        "kind": {"network": network},
    }[way]  # fmt: skip
    path = saved(context, folder, **changes)
    (path / "inside.py").write_text(HOSTILE)
    with pytest.raises(InputError, match=r"standard library|is code that is not an installed part"):
        cl_moe.load(path)
    (folder / "rows.csv").write_text("a\n1\n")
    code, out, err = call("predict", path, "rows.csv")
    assert (code, out) == (2, "")
    assert reference in err
    assert not executed(folder)
    assert not (path / "EXECUTED").exists()


def test_a_saved_model_may_use_code_that_is_allowed(folder: Path, context: Any) -> None:
    code = "from cl_moe.moe.gates.task import TaskGate\nclass Mine(TaskGate):\n    pass\n"
    (folder / "gates.py").write_text(code)
    path = saved(context, folder, gate="gates.py:Mine")
    with pytest.raises(InputError, match=r"gate: 'gates.py:Mine' is code that is not an installed"):
        cl_moe.load(path)
    model = cl_moe.load(path, allow_code=True)
    assert type(model.network.moe_layers[0].gate).__name__ == "Mine"
    assert cl_moe.load(path)  # it was allowed in this process


def test_the_files_of_a_study_name_no_code_that_is_imported(
    folder: Path, call: Check, tmp_path: Path
) -> None:
    study = folder / "study"
    assert call("run", scenario(folder, ""), "--out", study, "--quiet", "--no-figures")[0] == 0
    for path in (study / "study.json", *study.rglob("spec.json")):
        text = path.read_text()
        path.write_text(text.replace('"digits"', '"beside.py:f"').replace('"moe"', '"beside.py:f"'))
        assert path.read_text() != text or path.name == "spec.json"
    for path in study.rglob("digests.json"):
        path.unlink()
    for path in study.rglob("spec.json"):  # as in folders of versions before there were digests
        about = json.loads(path.read_text())
        path.write_text(json.dumps({key: about[key] for key in about if key != "format"}))
    assert call("summary", study)[0] == 0
    assert call("report", study)[0] == 0
    assert call("export", study, folder / "exported")[0] == 0
    assert call("unpack", folder / "exported", folder / "unpacked")[0] == 0
    assert not executed(folder)


def test_a_restored_head_is_a_head(folder: Path, context: Any) -> None:
    model = cl_moe.load(saved(context, folder))
    state = {"heads": [{"task": 0, "kind": "beside.py:f"}]}
    from cl_moe.moe.checkpoint import _restore_heads
    from cl_moe.state import State

    with (
        references.reading(references.Origin(folder / "model", beside=False)),
        pytest.raises(InputError, match=r"heads: 'beside.py:f' is code that is not an installed"),
    ):
        _restore_heads(model.network, State(state, {"x": torch.zeros(1)}))
    assert not executed(folder)

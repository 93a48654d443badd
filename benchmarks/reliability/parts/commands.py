"""Command lines with hostile words, on a small study and its saved models."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from benchmarks.reliability.hostile import texts
from benchmarks.reliability.tally import Result, Tally, call, each, inside

__all__ = ("CASES", "SCENARIO", "run")

CASES = 1_000
SCENARIO = """
name = "tiny"
seeds = 1
sources.blobs = { type = "synthetic", dim = 4, classes = 2 }
tasks = [{ name = "a", source = "blobs", per_class = 8 },
         { name = "b", source = "blobs", per_class = 8, group = "[/]" }]
methods = ["dense", "moe"]
network.hidden = [4]
training = { epochs = 1, min_steps = 0 }
"""
NEW = "rows.csv"

# No path leads out of the folder, and nothing is trained or timed.
words = texts.filter(lambda text: not {"/", "\\"} & {*text} and text.strip() not in ("", "demo"))
numbers = st.sampled_from(
    ("0", "-1", "1.5", "1e9", "99999999999999999999", "nan", "", "0,0", "1,,2")
)
paths = st.one_of(words, st.sampled_from(("study", "kept", NEW, "no/such/folder", ".", "s.toml")))
named = st.one_of(words, st.sampled_from(("dense", "moe", "a", "dense,moe", "a:b", "os:path", ":")))
given = st.one_of(words, named, numbers, paths)
settings = st.one_of(words, st.builds("{}={}".format, st.sampled_from(
    ("seeds", "training.epochs", "tasks.a.group", "tasks.9.name", "tasks", "network.hidden",
     "methods.dense.type", "sources.blobs.dim", "", ".", "a.b.c.d")), given))  # fmt: skip


def option(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Return an option with a value, or nothing."""
    return st.one_of(st.just([]), values.map(lambda value: [f"{name}={value}"]))


def line(command: str, *parts: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    """Return a command with its parts."""
    return st.tuples(*parts).map(
        lambda found: [command, *(word for part in found for word in part)]
    )


def argument(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Return one word."""
    return values.map(lambda value: [value])


KINDS = st.one_of(words, st.sampled_from(("gates", "methods", "keys", "scenarios", "metrics")))
scenario = option("--set", settings)
lines = st.one_of(
    st.lists(words, max_size=3),
    line("list", argument(KINDS), st.one_of(st.just([]), argument(named))),
    line("check", argument(st.one_of(paths, named)), option("--kind", named), scenario),
    line("run", argument(words), option("--methods", named), option("--seeds", numbers), scenario),
    line("run", st.just(["s.toml"]), argument(st.sampled_from(("--jobs=x", "--cpus-per-run=1",
         "--seeds=x", "--methods=none", "--engine=x"))), option("--device", words)),
    line("estimate", argument(words), option("--jobs", numbers), scenario),
    line("transfer", argument(words), option("--method", named)),
    line("summary", argument(paths), option("--metric", named)),
    line("plot", argument(paths), argument(named.map("--figure={}".format)),
         option("--format", named)),
    line("report", argument(paths), argument(named.map("--metric={}".format))),
    line("export", argument(words), argument(words), option("--command", words)),
    line("unpack", argument(paths), argument(st.just("study")), option("--without", named)),
    line("predict", argument(paths), argument(paths), option("--method", named),
         option("--task", named), option("--label", named), option("--source", named),
         option("--seed", numbers), st.just(["--out=-"])),
    line("predict", st.just(["study", NEW, "--method=dense"]), option("--task", named),
         option("--label", named), st.just(["--out=-"])),
)  # fmt: skip


def run(cases: int) -> Result:
    """Call commands on a study that is made first."""
    tally = Tally("command lines")
    with tempfile.TemporaryDirectory() as name, inside(Path(name)):
        Path("s.toml").write_text(SCENARIO)
        Path(NEW).write_text("p,q,r,s,label\n1,2,3,4,\x1b[31m\n5,6,7,8,b\n")
        made = call(["run", "s.toml", "--out", "study", "--keep-models", "--no-figures", "--quiet"])
        made = call(["export", "study", "kept"]) if made.code == 0 else made
        assert made.code == 0, made.text
        before = {path: path.stat().st_mtime_ns for path in Path("study").rglob("*.csv")}

        def use(found: list[str]) -> None:
            if not found or "--help" in found[0]:
                return
            tally.commands(found)
            for path in Path.cwd().iterdir():
                if path.name not in ("s.toml", NEW, "study", "kept"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

        each(lines, cases, use)
        if before != {path: path.stat().st_mtime_ns for path in Path("study").rglob("*.csv")}:
            tally.failed("study", "its rows were written")
    return tally.result("hostile arguments and options of every command, on a small study")

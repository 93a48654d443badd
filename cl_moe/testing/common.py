"""Checks that parts of every kind have in common."""

from __future__ import annotations

import doctest
import inspect
import sys

from cl_moe import catalog
from cl_moe.testing.base import NotApplicable, Subject, require

__all__ = ("constructs", "defaults", "docstring", "example", "readable")

GIVEN = {"gate": ("in_features",), "head": ("in_features", "n_outputs"), "method": ("context",)}
"""What the network gives parts of a kind, which needs no default."""


def constructs(subject: Subject) -> None:
    """Every abstract method is defined, and the constructor leaves what it is given as it is."""
    missing = sorted(getattr(subject.part, "__abstractmethods__", ()))
    require(not missing, f"it lacks {', '.join(missing)}; define what its base class leaves open")
    if inspect.isclass(subject.part):
        subject.make(**given_to(subject))


def defaults(subject: Subject) -> None:
    """Each parameter that is the user's has a default; its annotation says what it may be."""
    if not callable(subject.part):
        raise NotApplicable("it is a value, without parameters")
    if subject.kind == "method" and inspect.isclass(subject.part):
        raise NotApplicable("it is an Avalanche strategy, whose signature is Avalanche's")
    given = GIVEN.get(subject.kind, ())
    own = {n: p for n, p in catalog.parameters(subject.part).items() if n not in given}
    bare = [name for name, parameter in own.items() if parameter.annotation is parameter.empty]
    require(
        not bare,
        f"{', '.join(bare)}: no annotation, so what a scenario gives cannot be checked; add one",
    )
    required = [name for name, parameter in own.items() if parameter.default is parameter.empty]
    if required:
        raise NotApplicable(f"{', '.join(required)} must be given, and has no default")


def docstring(subject: Subject) -> None:
    """The docstring begins with one sentence, which lists of parts show."""
    text = _text(subject)
    first = text.split("\n\n", maxsplit=1)[0].strip()
    require(first, "there is no docstring; begin with a sentence, which lists of parts show")
    require(first[-1] in ".:?!", f"the docstring's first paragraph is no sentence: '{first[:60]}'")


def example(subject: Subject) -> None:
    """The example in the docstring runs and prints what it says."""
    if not callable(subject.part):
        raise NotApplicable("it is a value, whose docstring is its class's")
    text = _text(subject)
    if ">>>" not in text and subject.kind == "method":
        raise NotApplicable("a method needs no example: every scenario is one")
    require(">>>" in text, "the docstring has no example; add one that runs, after >>>")
    names = dict(vars(sys.modules[subject.part.__module__]))
    test = doctest.DocTestParser().get_doctest(text, names, subject.name, None, None)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False, optionflags=flags).run(test, out=said.append)
    words = " ".join("".join(said).split("Failed example:")[-1].split())
    require(not failed.failed, f"the example in the docstring fails: {words[:200]}")


def readable(subject: Subject) -> None:
    """Two parts made alike look alike: ``repr`` names parameters, not addresses."""
    one, two = (repr(subject.make(**given_to(subject))) for _ in range(2))
    if f"{subject.name} object at 0x" in one:
        raise NotApplicable("its repr is Python's own")
    require(one, "its repr is empty")
    require(one == two, f"two made alike have different reprs: {one[:60]!r} and {two[:60]!r}")


def given_to(subject: Subject) -> dict[str, int]:
    """Return what a network would give the part's constructor, where it takes that."""
    sizes = {"in_features": 6, "n_outputs": 3}
    return {n: sizes[n] for n in catalog.parameters(subject.part) if n in sizes}


def _text(subject: Subject) -> str:
    """Return the part's own docstring, not one that it inherits."""
    if inspect.isclass(subject.part):
        return inspect.cleandoc(subject.part.__doc__ or "")
    return inspect.getdoc(subject.part) or ""


def names(subject: Subject) -> set[str]:
    """Return the names of the parameters that the part's constructor takes."""
    return set(catalog.parameters(subject.part))

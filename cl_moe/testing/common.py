"""Checks that parts of every kind have in common."""

from __future__ import annotations

import doctest
import inspect
import sys

from cl_moe import catalog
from cl_moe.testing.base import NotApplicable, Subject, require

__all__ = ("constructs", "defaults", "docstring", "example", "readable")

GIVEN = {"gate": ("in_features",), "head": ("in_features", "n_outputs"), "method": ("context",)}
"""Parameters that the network gives to parts of a kind; they need no default."""


def constructs(subject: Subject) -> None:
    """Every abstract method is defined, and the constructor does not change its arguments."""
    missing = sorted(getattr(subject.part, "__abstractmethods__", ()))
    require(
        not missing, f"it lacks {', '.join(missing)}; define the abstract methods of its base class"
    )
    if inspect.isclass(subject.part):
        subject.make(**given_to(subject))


def defaults(subject: Subject) -> None:
    """Each parameter of the user has a default and an annotation."""
    if not callable(subject.part):
        raise NotApplicable("it is a value, without parameters")
    if subject.kind == "method" and inspect.isclass(subject.part):
        raise NotApplicable("it is an Avalanche strategy, whose signature is Avalanche's")
    given = GIVEN.get(subject.kind, ())
    own = {n: p for n, p in catalog.parameters(subject.part).items() if n not in given}
    bare = [name for name, parameter in own.items() if parameter.annotation is parameter.empty]
    require(
        not bare,
        f"{', '.join(bare)}: no annotation, so values of a scenario cannot be checked; add one",
    )
    required = [name for name, parameter in own.items() if parameter.default is parameter.empty]
    if required:
        raise NotApplicable(f"{', '.join(required)} has no default")


def docstring(subject: Subject) -> None:
    """The docstring begins with a sentence, which ``cl-moe list`` shows."""
    text = _text(subject)
    first = text.split("\n\n", maxsplit=1)[0].strip()
    require(first, "there is no docstring; add one that begins with a sentence")
    require(
        first[-1] in ".:?!", f"the docstring's first paragraph is not a sentence: '{first[:60]}'"
    )


def example(subject: Subject) -> None:
    """The example in the docstring passes as a doctest."""
    if not callable(subject.part):
        raise NotApplicable("it is a value, whose docstring is its class's")
    text = _text(subject)
    if ">>>" not in text and subject.kind == "method":
        raise NotApplicable("a method needs no example: every scenario is one")
    require(">>>" in text, "the docstring has no example; add a doctest, with >>>")
    names = dict(vars(sys.modules[subject.part.__module__]))
    test = doctest.DocTestParser().get_doctest(text, names, subject.name, None, None)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    said: list[str] = []
    failed = doctest.DocTestRunner(verbose=False, optionflags=flags).run(test, out=said.append)
    words = " ".join("".join(said).split("Failed example:")[-1].split())
    require(not failed.failed, f"the example in the docstring fails: {words[:200]}")


def readable(subject: Subject) -> None:
    """Two equal parts have the same ``repr``, with parameters instead of addresses."""
    one, two = (repr(subject.make(**given_to(subject))) for _ in range(2))
    if f"{subject.name} object at 0x" in one:
        raise NotApplicable("its repr is Python's own")
    require(one, "its repr is empty")
    require(one == two, f"two equal parts have different reprs: {one[:60]!r} and {two[:60]!r}")


def given_to(subject: Subject) -> dict[str, int]:
    """Return the arguments that a network gives to the part's constructor."""
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

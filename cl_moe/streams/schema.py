"""What all tables of a scenario have in common: names, bounds of numbers, and their base class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cl_moe.errors import InputError
from cl_moe.streams.problems import name_problems, read_table

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)  # pydantic gives it no public name

__all__ = ("DEEPEST", "LARGEST_ROW", "MOST", "WIDEST", "FolderName", "Name", "Spec")

LONGEST_NAME = 80
"""Bytes; a folder's name may hold 255, and a byte may need three."""
WIDEST = 2**16
"""Largest width of a layer, and number of rows in a batch."""
DEEPEST = 1000
"""Most layers."""
MOST = 10**9
"""Largest number of examples or steps."""
LARGEST_ROW = 2**26
"""Most values of a row: 256 MiB of float32."""


def _checked_name(name: str) -> str:
    problems = name_problems(name)
    if problems:
        raise ValueError(problems[0])
    return name


def _short_enough(name: str) -> str:
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"'{name[:20]}...' is too long to name a folder; give {LONGEST_NAME} bytes or fewer"
        )
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_checked_name)]
FolderName = Annotated[Name, AfterValidator(_short_enough)]


class _Checked(ModelMetaclass):
    """Raises an InputError where a table that is made in Python has invalid values."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            model: Any = self
            raise InputError(read_table(model, kwargs, "")[1]) from error


class Spec(BaseModel, metaclass=_Checked):
    """Base of all tables: frozen, strict about names, without conversion of TOML's types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, allow_inf_nan=False
    )

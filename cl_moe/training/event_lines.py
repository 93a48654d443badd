"""A log of decisions as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

__all__ = ("EventLines",)


class EventLines:
    """Encodes a growing log as JSON, one line per event; those that do not change only once.

    >>> lines = EventLines()
    >>> text = lines.text([{"task": 0}, {"task": 1}], changing=1)
    >>> text.splitlines()
    ['{"task": 0}', '{"task": 1}']
    >>> EventLines().events(text, changing=0)
    [{'task': 0}, {'task': 1}]
    """

    def __init__(self) -> None:
        self._kept: list[str] = []

    def text(self, events: Sequence[dict[str, Any]], changing: int) -> str:
        """Return the text of all events; the last ``changing`` ones are encoded again next time."""
        lines = self._kept + [json.dumps(event) for event in events[len(self._kept) :]]
        self._kept = lines[: len(lines) - changing]
        return "\n".join(lines)

    def events(self, text: str, changing: int) -> list[dict[str, Any]]:
        """Return the events of a result of :meth:`text`."""
        lines = text.split("\n") if text else []
        self._kept = lines[: len(lines) - changing]
        return [json.loads(line) for line in lines]

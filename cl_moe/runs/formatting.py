"""Formatting of counts and durations."""

from __future__ import annotations

import math

__all__ = ("counted", "duration")


def counted(number: int, word: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "run"), counted(3, "run")
    ('1 run', '3 runs')
    """
    return f"{number} {word}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration in readable units.

    >>> duration(7.21), duration(150), duration(7300)
    ('7.2 s', '2 min 30 s', '2 h 1 min')
    >>> duration(8 * 24 * 3600), duration(5e9)
    ('8.0 days', '158 years')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = math.floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    days = seconds / 86400
    if days >= 3 * 365.25:
        return f"{days / 365.25:,.0f} years"
    if days >= 4:
        return f"{days:,.1f} days"
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")

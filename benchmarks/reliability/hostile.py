"""Text that means something to a terminal, to rich, to HTML, Markdown, TeX or a file system."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ("PRINTABLE", "UNPRINTABLE", "names", "texts")

PRINTABLE = (
    "[/]", "[bold]", "[/bold]", "[link=javascript:alert(1)]x[/link]", "[red on blink]", ":warning:",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table>", "<!--", "&lt;",
    "[x](javascript:alert(1))", "![x](http://a.b/c.png)", "<javascript:alert(1)>", "http://a.b/c",
    "www.a.b", "`code`", "``", "**bold**", "_em_", "~~gone~~", "# heading", "- item", "1. item",
    "> quote", "---", "===", "| a | b |", "\\", "\\|", "$\\frac$", "$x$", "$", "\\$", "^_{}", "{0}",
    "%s", "%", "..", "../../etc/passwd", "/", "C:\\x", "con", "NUL.txt", ".hidden", "-rf", "~", "*",
    "'", '"', ";ls", "é", "任务", "😀", "عربى", "a" * 60,
)  # fmt: skip
"""Names on one line, which are valid."""

UNPRINTABLE = (
    "\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\x00", "\x07", "\b\b", "\r", "\n", "\t",
    "\u202e", "\u2066", "\u200f", "\u2028", "\u2029", "\ufeff", "\ud800", "\udfff", "\U000e0001",
)  # fmt: skip
"""What a terminal obeys, what turns the direction of writing, and what cannot be encoded."""

names = st.lists(st.sampled_from(PRINTABLE), min_size=1, max_size=3).map(" ".join)
"""Valid names."""

texts = st.one_of(
    st.lists(
        st.one_of(st.sampled_from((*PRINTABLE, *UNPRINTABLE)), st.text(max_size=8)), max_size=4
    ).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=40),
)
"""Any text."""

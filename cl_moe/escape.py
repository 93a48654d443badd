r"""The one way of text from outside into a terminal, HTML, Markdown, and the name of a file.

Names of tasks, methods and groups, messages of exceptions, and cells of data files may hold
anything. Each function returns text that is shown as it reads, and interpreted by nothing.

>>> line("red \x1b[31m"), html("a < b"), markdown("[x](javascript:y)"), file_name("../a")
('red \\x1b[31m', 'a &lt; b', '\\[x\\](javascript:y)', '%2E.%2Fa')
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import quote

__all__ = ("file_name", "html", "line", "lines", "markdown")

LONGEST = 240
"""Characters of a file's name: file systems allow 255, and drafts of files add to the name."""
# Windows takes these names, with any ending, for devices.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)")
_MARKUP = re.compile(r"[\\`*\[\]<&|~$#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")
_BLOCK = re.compile(r">|[-+](?=[\s+-]|$)|=(?=[\s=]|$)")
_NUMBERED = re.compile(r"(\d{1,9})(?=[.)](\s|$))")


def line(text: str) -> str:
    r"""Return a text on one line; what is not printed is written as an escape, as ``repr`` does.

    That is: line breaks and other control characters, which terminals obey; marks that change the
    direction of writing; and surrogates, which no stream can encode.

    >>> line("a\nb \x1b]0;title\x07"), line("é 任务")
    ('a\\nb \\x1b]0;title\\x07', 'é 任务')
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def lines(text: str) -> str:
    r"""Return a text of several lines, each as by :func:`line`; tabs are kept, too.

    >>> lines("a\tb\nc\rd")
    'a\tb\nc\\rd'
    """
    return "\n".join("\t".join(map(line, row.split("\t"))) for row in text.split("\n"))


def html(text: str) -> str:
    """Return a text for an element or a quoted attribute of HTML.

    >>> html('<a href="#">')
    '&lt;a href=&quot;#&quot;&gt;'
    """
    from html import escape

    return escape(line(text))


def markdown(text: str) -> str:
    r"""Return a text for a paragraph, a heading, an item or a cell of Markdown, on one line.

    HTML, links, formulas, emphasis and the beginnings of blocks are escaped, by the rules of
    CommonMark and GitHub. Plain words, numbers and names_with_underscores stay as they are.

    >>> print(markdown("# <b> a_b *c* | -1.0"), markdown("1. one"), markdown("-1.0"))
    \# \<b> a_b \*c\* \| -1.0 1\. one -1.0
    """
    text = _MARKUP.sub(r"\\\g<0>", line(text.strip()))
    if _BLOCK.match(text):
        return f"\\{text}"
    return _NUMBERED.sub(r"\g<1>\\", text, count=1) if _NUMBERED.match(text) else text


def file_name(name: str, most: int = LONGEST) -> str:
    """Return a name as that of one file or folder: quoted, and never a path, hidden or reserved.

    Args:
        name: anything; equal names give equal files, different ones different files.
        most: characters at most; a longer name is cut, and ends in a digest of all of it.

    >>> file_name("moe k=1"), file_name(".."), file_name("nul.txt"), file_name("a" * 999, most=20)
    ('moe k=1', '%2E.', '%6Eul.txt', 'aaa-b808210210801329')
    """
    quoted = quote(name, safe=" =+,@()", errors="surrogatepass")
    if quoted.startswith(".") or _RESERVED.match(quoted):
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if len(quoted) <= most and quoted:
        return quoted
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{quoted[: most - len(digest) - 1]}-{digest}"


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] == "C" or kind in ("Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character

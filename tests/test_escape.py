"""Text from outside: shown as it reads, interpreted by nothing."""

from __future__ import annotations

import html.parser
import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmarks.reliability.hostile import texts
from cl_moe import escape


def _is_shown(text: str) -> bool:
    """Whether no character of a text is obeyed by a terminal or turns the direction of writing."""
    return not any(
        unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in text
    )


@given(texts)
def test_a_line_is_printable_and_one_line(text):
    shown = escape.line(text)
    assert _is_shown(shown)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    if _is_shown(text):
        assert shown == text


@given(texts)
def test_lines_keep_their_breaks_alone(text):
    assert escape.lines(text) == "\n".join(map(escape.lines, text.split("\n")))
    assert _is_shown(escape.lines(text).replace("\n", "").replace("\t", ""))


@given(texts)
def test_html_is_text_and_nothing_else(text):
    found: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_data(self, data):
            found.append(data)

        def handle_starttag(self, tag, attrs):
            raise AssertionError(tag)

        handle_endtag = handle_startendtag = handle_comment = handle_decl = handle_pi = (
            handle_starttag  # type: ignore[assignment]
        )

    reader = Reader(convert_charrefs=True)
    reader.feed(escape.html(text))
    reader.close()
    assert "".join(found) == escape.line(text)
    assert not set(escape.html(text)) & set("<>\"'")


def _plain(page: str, wanted: str) -> str:
    """Return the text of the one block ``wanted`` of a page of Markdown; nothing else is in it."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    inner = [token for token in reader.parse(page) if token.type == "inline"]
    kinds = {token.type for token in reader.parse(page)}
    assert not kinds & {"html_block", "fence", "code_block", "hr", "blockquote_open"}
    assert len([t for t in reader.parse(page) if t.type == wanted]) == 1
    parts = inner[-1].children or []
    assert {part.type for part in parts} <= {"text", "text_special"}, parts
    return "".join(part.content for part in parts)


@given(texts)
@example("__0__")
@example("0__0_ _0")
def test_markdown_is_text_in_every_block(text):
    shown = escape.line(text.strip())
    written = escape.markdown(text)
    if not shown:
        assert not written
        return
    assert _plain(written, "paragraph_open") == shown
    assert _plain(f"# {written}", "heading_open") == shown
    assert _plain(f"- {written}", "list_item_open") == shown
    assert _plain(f"| a |\n|---|\n| {written} |", "tbody_open") == shown


@given(texts)
def test_bare_addresses_are_no_links(text):
    """GitHub makes links of addresses without any markup."""
    assert not re.search(r"(?<!\\)://|www\.", escape.markdown(text))


@given(texts, texts, st.integers(40, 255))
def test_a_file_name_is_one_short_name_of_its_own(text, other, most):
    name = escape.file_name(text, most)
    assert 0 < len(name.encode()) <= most
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>|\0')
    assert not name.startswith(".")
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)
    assert (text == other) == (name == escape.file_name(other, most))


def test_names_of_folders_that_exist_stay():
    kept = {"moe/k=1": "moe%2Fk=1", ".a": "%2Ea", "é": "%C3%A9", "a b@2 (x)": "a b@2 (x)"}
    assert {name: escape.file_name(name) for name in kept} == kept
    assert escape.file_name("任" * 26) == "%E4%BB%BB" * 26  # the longest name of a method

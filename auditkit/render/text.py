"""Text from outside made harmless: for a page, XML, Markdown, a terminal and a CI log.

Names of models, classes and groups come from files that nobody has vouched for. Each function
here is pure and takes any `str`, lone surrogates included.
"""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of one piece of text that a report shows; the whole of it is in result.json."""

# CSI and OSC sequences go as a whole, so that "\x1b[31m" does not leave "[31m" behind.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
# C0, C1, soft hyphen, bidirectional marks and overrides, invisible operators, tag characters.
# The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# Line breaks and tabs are space, not something hidden.
_UNSEEN_IN_LINE = re.compile(rf"(?![\t\n\v\f\r\x85])(?:{_UNSEEN.pattern})")
_BREAK = re.compile(r"\r\n?|[\n\v\f\x85\u2028\u2029]")
_EMPTY_LINES = re.compile(r"\n(?: *\n){2,}")
_NOT_TEXT = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_XML_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]!|~$])")
# Headings, lists and rules, which need the start of a line.
_LINE_START = re.compile(r"^(\d{0,9})([#+\-=.)])")
# What GitHub turns into a link or a mention without any markup around it.
_AUTOLINK = re.compile(r"(://|www\.|mailto:|xmpp:|@|#(?=\d)|GH-(?=\d))", re.IGNORECASE)
_CI_COMMAND = re.compile(r":(?=:)|##(?=\[)")


def plain(text: str, longest: int = LONGEST) -> str:
    """One line of visible characters, cut to `longest`.

    Line breaks and tabs become a space; escape sequences, control characters and bidirectional
    overrides are dropped; lone surrogates and noncharacters become U+FFFD.
    """
    # Far more is looked at than is kept, so that a megabyte of text costs nothing.
    head = _ANSI.sub("", text[: 4 * longest + 100])
    head = _NOT_TEXT.sub("\ufffd", _UNSEEN.sub("", _SPACE.sub(" ", head))).strip()
    cut = len(head) > longest or (len(text) > 4 * longest + 100)
    return head[: longest - 1].rstrip() + "…" if cut else head


def revealed(text: str) -> str:
    """The text with characters that cannot be seen written out: `‹U+200B›`.

    For showing what was changed, where leaving them out would hide the change.
    """
    return _UNSEEN_IN_LINE.sub(lambda found: f"‹U+{ord(found[0]):04X}›", text)


def laid_out(text: str) -> str:
    """All of a text, or a piece of one, in its own lines and with what cannot be seen written out.

    White space stays where it is, but of empty lines in a row one.
    """
    broken = _EMPTY_LINES.sub("\n\n", _BREAK.sub("\n", revealed(text)))
    return _NOT_TEXT.sub("\ufffd", broken.replace("\t", " "))


def piece(text: str) -> str:
    """A part of a line, as `plain` but neither cut nor stripped."""
    return _NOT_TEXT.sub("\ufffd", _UNSEEN.sub("", _SPACE.sub(" ", text)))


def xml_legal(text: str) -> str:
    """The text without the characters XML 1.0 forbids or discourages; line breaks stay."""
    return _SURROGATES.sub("\ufffd", _XML_ILLEGAL.sub("", _ANSI.sub("", text)))


def markdown(text: str, longest: int = LONGEST) -> str:
    """Prose for Markdown in which nothing is markup, a link, a mention or HTML."""
    safe = plain(text, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _LINE_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", safe))
    # A zero-width space as an entity: GitHub looks for links after it has resolved escapes.
    return _AUTOLINK.sub(lambda found: f"{found[0][0]}&#8203;{found[0][1:]}", safe)


def markdown_code(text: str, longest: int = LONGEST) -> str:
    """A name as a Markdown code span that also stands in a table cell."""
    name = plain(text, longest)
    if not name:
        return ""
    runs = re.findall(r"`+", name)
    fence = "`" * (max(map(len, runs), default=0) + 1)
    pad = " " if name.startswith("`") or name.endswith("`") else ""
    # A table drops the backslash of an escaped pipe before code spans are read; outside of a table
    # it would stay, so the pipe becomes one that only looks the same.
    return f"{fence}{pad}{name}{pad}{fence}".replace("|", "\u2502")


def inert_for_ci_log(text: str) -> str:
    """The text with every possible GitHub Actions command broken by a space.

    The runner obeys a line that starts with `::`, and `##[` anywhere in a line. Both are broken
    wherever they stand, because wrapping may put any character at the start of a line.
    """
    return _CI_COMMAND.sub(lambda found: found[0] + " ", text)

"""What of a text its writer has said: not what it quotes, links to, or names."""
# ruff: noqa: RUF001 - a sign that looks like another is another here

import re
import unicodedata

from agent.unseen import without_unseen

LONGEST_READ = 20_000
"""Characters that are looked at: what a person writes in one language shows it sooner."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_LINK_TARGET = re.compile(r"\]\([^()\s]*\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_QUOTED = re.compile(
    "“[^“”\n]{0,300}”|„[^„“”\n]{0,300}[“”]|«[^«»\n]{0,300}»|»[^«»\n]{0,300}«|「[^「」\n]{0,300}」|『[^『』\n]{0,300}』"
    "|\"[^\"\n]{0,300}\"|(?<!\\w)'[^'\n]{1,300}'(?!\\w)|‘[^‘’\n]{1,300}’(?!\\w)"
)
_INITIAL = re.compile(r"\b[^\W\d_]\.")
_RUN = re.compile("[!-~\u00c0-\u024f\u1e00-\u1eff]+")
"""What stands between spaces, or between signs of a script that has none."""

_TECHNICAL = re.compile(
    r"://|[@\\\\/_=#{}<>|\d]|\w\.\w"  # addresses, paths, options, versions, whatever holds a digit
    r"|[a-z][A-Z]"  # iPhone, updatedAfter
)


def prose(text: str) -> str:
    """Return the text in its plainest form, without code, links, tags, quotes and words that are rather names."""
    plain = without_unseen(unicodedata.normalize("NFKC", text[:LONGEST_READ]))
    for pattern in (_CODE, _QUOTED_LINE, _LINK_TARGET, _TAG, _QUOTED, _INITIAL):
        plain = pattern.sub(" ", plain)
    return _RUN.sub(lambda run: " " if _TECHNICAL.search(run[0]) else run[0], plain)

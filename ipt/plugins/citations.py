"""BibTeX entries for components, from their citations: BibTeX, or a line of text that is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ipt import __version__
from ipt.plugins.registry import Entry

YEAR = 2026
SOFTWARE = f"""\
@software{{ipt,
  author = {{{{The ipt authors}}}},
  title = {{ipt: The Inverse Problem Toolkit}},
  version = {{{__version__}}},
  year = {{{YEAR}}},
  note = {{Python package inverse-problem-toolkit}},
}}"""

_TEXT = re.compile(
    r'(?P<author>[^"]+), "(?P<title>[^"]+)"(?:, (?P<howpublished>[^"]*?))??(?:,? (?P<year>\d{4}))?'
    r"(?:, arXiv (?P<eprint>[\w.-]+/?[\w.-]+))?\.?"
)
_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def bibliography(entries: Iterable[Entry]) -> str:
    """The BibTeX entries of `ipt` and of components, each once, under a comment that names the components."""
    works: dict[str, tuple[str, list[str]]] = {SOFTWARE: (SOFTWARE, ["ipt"])}
    without: list[str] = []
    for entry in dict.fromkeys(entries):
        who = f"{entry.kind} {entry.name}"
        found = _works(entry)
        for key, text in found.items():
            works.setdefault(key, (text, []))[1].append(who)
        if not found:
            without.append(who)
    parts = [f"% {', '.join(who)}\n{text}" for text, who in works.values()]
    if without:
        parts.append(f"% nothing to cite: {', '.join(without)}")
    return "\n\n".join(parts)


def readable(citation: str) -> str:
    """A citation as one line for people: of BibTeX, authors, title and year of each entry."""
    if not _is_bibtex(citation):
        return citation
    return "; ".join(
        ", ".join(_unbraced(value) for name in ("author", "title", "year") if (value := _field(name, text)))
        for text in works_of(citation).values()
    )


def works_of(bibtex: str) -> dict[str, str]:
    """The entries of BibTeX by their keys."""
    parts = re.split(r"^(?=@)", bibtex, flags=re.MULTILINE)
    return {text.partition(",")[0].partition("{")[2]: text.strip() for text in parts if text.strip()}


def _works(entry: Entry) -> dict[str, str]:
    """The BibTeX entries of one component, by key, or by the text of a citation that is no BibTeX."""
    citation = entry.component.citation.strip()
    if not citation:
        return {}
    if _is_bibtex(citation):
        return works_of(citation)
    return {citation: _from_text(f"{entry.kind}-{entry.name}", citation)}


def _is_bibtex(citation: str) -> bool:
    return citation.lstrip().startswith("@")


def _field(name: str, entry: str) -> str:
    """The value of a field, which may be in braces, in quotes or bare; "" if the entry has no such field."""
    found = re.search(rf'\b{name}\s*=\s*(\{{.*?\}}|".*?"|\w+)\s*(?:,|\}})?\s*$', entry, re.MULTILINE | re.DOTALL)
    return found[1].strip('"') if found else ""


def _unbraced(value: str) -> str:
    r"""A value without its braces; accents such as {\'e} lose their mark."""
    return " ".join(re.sub(r"[{}]|\\\W", "", value).split())


def _from_text(key: str, text: str) -> str:
    """An entry from 'Authors, "Title", where year, arXiv number'; other texts become its note."""
    matched = _TEXT.fullmatch(text)
    fields = {name: value for name, value in matched.groupdict().items() if value} if matched else {"note": text}
    if "author" in fields:
        fields["author"] = " and ".join(re.split(r", (?:and )?| and ", fields["author"]))
    if "eprint" in fields:
        fields |= {"archiveprefix": "arXiv", "url": f"https://arxiv.org/abs/{fields['eprint']}"}
    lines = "".join(f"  {name} = {{{_escaped(value)}}},\n" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}}}"


def _escaped(text: str) -> str:
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _ESCAPED.get(found[0], f"\\{found[0]}"), text)

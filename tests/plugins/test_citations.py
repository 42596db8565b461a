"""BibTeX, given or made from a line of text."""

from __future__ import annotations

import re

import pytest

from ipt import __version__
from ipt.plugins.builtins import WORKS
from ipt.plugins.citations import SOFTWARE, bibliography, readable, works_of
from ipt.plugins.component import Component
from ipt.plugins.discovery import discover
from ipt.plugins.registry import Entry

DPS, BLIND_DPS = WORKS["chung2023diffusion"], WORKS["chung2023parallel"]
GIVEN = """\
@article{howard1803,
  author = {Howard, Luke},
  title = {On the Modifications of {Clouds}},
  year = 1803,
}
"""


def entry(name: str, citation: str, kind: str = "prior") -> Entry:
    return Entry(kind, Component(name, dict, "of a test", citation), "me")


def entries_of(text: str) -> dict[str, str]:
    """The entries of a bibliography by key, each complete."""
    found = re.findall(r"^@\w+\{([^,]+),\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == text.count("@") and len(dict(found)) == len(found)
    return dict(found)


def test_ipt_is_always_cited():
    assert bibliography([]) == f"% ipt\n{SOFTWARE}"
    assert f"version = {{{__version__}}}" in SOFTWARE


def test_bibtex_is_printed_as_it_is_and_once():
    text = bibliography([entry("clouds", GIVEN), entry("skies", GIVEN.replace("Clouds", "clouds"), "operator")])
    assert f"% prior clouds, operator skies\n{GIVEN}".strip() in text
    assert set(entries_of(text)) == {"ipt", "howard1803"}


def test_several_entries_are_told_apart():
    text = bibliography([entry("dps", f"{DPS}\n{BLIND_DPS}"), entry("again", DPS)])
    assert set(entries_of(text)) == {"ipt", "chung2023diffusion", "chung2023parallel"}
    assert "% prior dps, prior again\n@inproceedings{chung2023diffusion" in text


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            'Ann Author, Bob Writer, "The Title", CVPR 2026, arXiv 2601.00001',
            "author = {Ann Author and Bob Writer}|title = {The Title}|howpublished = {CVPR}|year = {2026}|"
            "eprint = {2601.00001}|archiveprefix = {arXiv}|url = {https://arxiv.org/abs/2601.00001}",
        ),
        (
            'A. Author and B. Writer, "50 % & more", 2026',
            r"author = {A. Author and B. Writer}|title = {50 \% \& more}|year = {2026}",
        ),
        ('Zhu et al., "T", Physica, 1992.', "author = {Zhu et al.}|title = {T}|howpublished = {Physica}|year = {1992}"),
        ("Luke Howard, On Clouds_, 1803", r"note = {Luke Howard, On Clouds\_, 1803}"),
        ('He said "so" and "so"', 'note = {He said "so" and "so"}'),
    ],
)
def test_an_entry_is_made_of_a_line_of_text(text, fields):
    body = entries_of(bibliography([entry("clouds", text)]))["prior-clouds"]
    assert [line.strip().removesuffix(",") for line in body.splitlines()] == fields.split("|")


def test_the_same_text_is_one_work():
    works = entries_of(bibliography([entry("a", "Some Book"), entry("b", "Some Book"), entry("b", "Other Book")]))
    assert set(works) == {"ipt", "prior-a", "prior-b"}


def test_what_names_nothing_is_said_to():
    text = bibliography([entry("box", ""), entry("box", ""), entry("drawn", "", "generator")])
    assert text.endswith("% nothing to cite: prior box, generator drawn")


def test_a_citation_can_be_read():
    assert readable(GIVEN) == "Howard, Luke, On the Modifications of Clouds, 1803"
    assert readable("Luke Howard, On Clouds, 1803") == "Luke Howard, On Clouds, 1803"
    both = readable(f"{WORKS['rudin1992nonlinear']}\n\n{WORKS['chambolle2004algorithm']}")
    assert both.startswith("Rudin, Leonid I. and Osher") and "; Chambolle, Antonin, An Algorithm" in both
    assert "Andres and Coupete, Eva, Fast Diffusion EM: A Diffusion Model" in readable(WORKS["laroche2024fast"])


def test_every_reference_is_used_and_whole():
    cited = "".join(entry.component.citation for entry in discover().entries)
    for key, text in WORKS.items():
        assert text in cited, f"{key} is cited by nothing"
        (body,) = entries_of(text).values()
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) =", body, re.MULTILINE))
        assert body.count("{") == body.count("}")
    assert entries_of(bibliography(discover().entries)).keys() == {"ipt", *WORKS}


def test_entries_by_key():
    assert works_of(f"\n{GIVEN}\n{DPS}") == {"howard1803": GIVEN.strip(), "chung2023diffusion": DPS}


def test_every_work_of_the_built_ins_has_its_year_and_where_it_is():
    works = entries_of(bibliography(discover().entries))
    assert all("  year = {" in text for text in works.values())
    # Of the software there is no page, and of one work none that was found.
    assert {key for key, text in works.items() if "url = {http" not in text} == {"ipt"}

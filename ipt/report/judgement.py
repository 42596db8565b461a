"""The verdict of a result as the report shows it: headline, findings and advice, with command-line options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ARGUMENT = re.compile(r"\b([a-z_]+)=([\w.]*)")


@dataclass(frozen=True)
class Judgement:
    """A verdict.

    Attributes:
        kind: "good" or "bad".
        headline: in two or three words.
        findings: sentences, what the verdict is based on.
        advice: sentences, what to do.
    """

    kind: str
    headline: str
    findings: Sequence[str]
    advice: Sequence[str]

    @property
    def worst_first(self) -> int:
        """A sort key that puts bad verdicts first."""
        return 0 if self.kind == "bad" else 1


def judgement(record: Mapping[str, Any]) -> Judgement | None:
    """The verdict in a record; None if it has none."""
    headline, colon, rest = str(record.get("verdict") or "").partition(": ")
    if not colon:
        return None
    advice = [str(each) for each in record.get("advice") or ()]
    # Records of earlier versions have no findings of their own.
    findings = [str(each) for each in record.get("findings") or rest.split("; ") if each not in advice]
    kind = "good" if headline == "fits" or headline.startswith("likely right") else "bad"
    headline = headline[:1].upper() + headline[1:]
    return Judgement(kind, headline, [_sentence(each) for each in findings], [_sentence(each) for each in advice])


def with_options(text: str) -> str:
    """A text with arguments as options: "another seed=" is "another --seed", "noise=.01" is "--noise .01"."""
    return _ARGUMENT.sub(lambda found: f"--{found[1].replace('_', '-')} {found[2]}".rstrip(), text)


def _sentence(text: str) -> str:
    text = with_options(text)
    return f"{text[:1].upper()}{text[1:]}."

"""BibTeX from the sources that chip files name in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from snn2chip.hw_models.results import ChipSummary
from snn2chip.report.about import Source
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.latex import escaped

#: ``M. Horowitz, Computing's Energy Problem, ISSCC 2014``: who, a title, and where it appeared.
_REFERENCE = re.compile(r"((?:[A-Z]\. )+[^,]+?|[A-Z]\w+ Labs)( et al\.)?, ([^,]+), (.+)")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def cited(report: EnergyReport, chip: ChipSummary) -> list[str]:
    """Keys of the entries that the chip rests on."""
    keys = _keys(report)
    return [keys[source.text] for source in _sources(report, chip) if source.text in keys]


def said_in_words(report: EnergyReport, chip: ChipSummary) -> list[str]:
    """The sources of the chip that are no publication, such as a convention of its file."""
    keys = _keys(report)
    return [source.text for source in _sources(report, chip) if source.text not in keys]


def bibtex(report: EnergyReport) -> str:
    """An entry for snn2chip, and one for each publication, in the order of the chips."""
    own = f"@software{{snn2chip,\n  title = {{snn2chip}},\n  version = {{{report.tool_version}}}\n}}"
    entries = [own, *(_entry(key, text) for text, key in _keys(report).items())]
    return "\n\n".join(entries) + "\n"


def _sources(report: EnergyReport, chip: ChipSummary) -> tuple[Source, ...]:
    pairs = zip(report.networks, report.about, strict=False)
    return next((about.sources for network, about in pairs if network.chip.digest == chip.digest), ())


def _keys(report: EnergyReport) -> dict[str, str]:
    """Key by text: two chip files may give one key to different texts, and then the later has a letter behind it."""
    found: dict[str, str] = {}
    for about in report.about:
        for source in about.sources:
            if source.text not in found and _REFERENCE.fullmatch(source.text):
                found[source.text] = next(key for key in _candidates(source.key) if key not in found.values())
    return found


def _candidates(key: str) -> Iterator[str]:
    yield key
    yield from (f"{key}-{number}" for number in range(2, 1000))


def _author(who: str, others: bool) -> str:
    """BibTeX takes a name that is no person's as one word within braces."""
    name = escaped(who) if "." in who else f"{{{escaped(who)}}}"
    return f"{name} and others" if others else name


def _entry(key: str, text: str) -> str:
    match = _REFERENCE.fullmatch(text)
    assert match is not None
    who, others, title, rest = match.groups()
    fields = {
        "author": _author(who, bool(others)),
        "title": f"{{{escaped(title)}}}",
        "note": escaped(rest),
    }
    if years := _YEAR.findall(rest):
        fields["year"] = years[0]
    return f"@misc{{{key},\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items()) + "\n}"

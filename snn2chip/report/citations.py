"""BibTeX from the sources that chip files name in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from snn2chip.hw_models.results import ChipSummary
from snn2chip.report.about import Source
from snn2chip.report.energy_report import EnergyReport
from snn2chip.report.latex import escaped
from snn2chip.report.publications import PUBLICATIONS, Publication
from snn2chip.report.summaries import one_per_chip

#: ``M. Horowitz, Computing's Energy Problem, ISSCC 2014``: who, a title, and where it appeared.
_REFERENCE = re.compile(r"((?:[A-Z]\. )+[^,]+?|[A-Z]\w+ Labs)( et al\.)?, ([^,]+), (.+)")
_YEAR = re.compile(r"(?:^|, | )\b((?:19|20)\d\d)\b(?!\.\d)")
#: What BibTeX and LaTeX take in a key; a chip file may call its sources anything.
_NO_KEY = re.compile(r"[^\w:.+-]+", re.ASCII)
#: The key of the entry for snn2chip itself.
OWN = "snn2chip"


def cited(report: EnergyReport, chip: ChipSummary) -> list[str]:
    """Keys of the entries that the chip rests on."""
    keys = _keys(report)
    titles = (_title(source.text) for source in _sources(report, chip))
    return list(dict.fromkeys(keys[title] for title in titles if title))


def said_in_words(report: EnergyReport, chip: ChipSummary) -> list[str]:
    """The sources of the chip that are no publication, such as a convention of its file."""
    return [source.text for source in _sources(report, chip) if not _title(source.text)]


def bibtex(report: EnergyReport) -> str:
    """An entry for snn2chip, and one for each publication, in the order of the chips."""
    own = {"key": OWN, "title": "{snn2chip}", "note": f"Software, version {escaped(report.tool_version)}"}
    texts = {_title(source.text): source.text for source in reversed(_all(report))}
    entries = [_entry(OWN, Publication("misc", own))]
    entries += [_entry(key, _publication(texts[title])) for title, key in _keys(report).items()]
    return "\n\n".join(entries) + "\n"


def _all(report: EnergyReport) -> list[Source]:
    return [source for network in one_per_chip(report) for source in _sources(report, network.chip)]


def _sources(report: EnergyReport, chip: ChipSummary) -> tuple[Source, ...]:
    pairs = zip(report.networks, report.about, strict=False)
    return next((about.sources for network, about in pairs if network.chip.digest == chip.digest), ())


def _title(text: str) -> str:
    """The title of the publication that `text` names; empty where it names none."""
    match = _REFERENCE.fullmatch(text)
    return match.group(3) if match else ""


def _keys(report: EnergyReport) -> dict[str, str]:
    """Key by title: chip files that name one publication share its entry, one key for two titles is told apart."""
    found: dict[str, str] = {}
    for source in _all(report):
        title = _title(source.text)
        if title and title not in found:
            found[title] = next(key for key in _candidates(source.key) if key not in (OWN, *found.values()))
    return found


def as_key(text: str) -> str:
    """`text` as LaTeX and BibTeX take it as the name of something."""
    return _NO_KEY.sub("-", text)


def _candidates(key: str) -> Iterator[str]:
    plain = as_key(key)
    yield plain
    yield from (f"{plain}-{number}" for number in range(2, 1000))


def _publication(text: str) -> Publication:
    """The whole entry where the publication is known, else what the chip file says of it."""
    match = _REFERENCE.fullmatch(text)
    assert match is not None
    who, others, title, rest = match.groups()
    if title in PUBLICATIONS:
        return PUBLICATIONS[title]
    years = _YEAR.findall(rest)
    fields = {
        "author": _author(who, bool(others)),
        "title": f"{{{escaped(title)}}}",
        "note": escaped(_YEAR.sub("", rest, count=1)),
        "year": years[0] if years else "",
    }
    return Publication("misc", {name: value for name, value in fields.items() if value})


def _author(who: str, others: bool) -> str:
    """BibTeX takes a name that is no person's as one word within braces."""
    name = escaped(who) if "." in who else f"{{{escaped(who)}}}"
    return f"{name} and others" if others else name


def _entry(key: str, found: Publication) -> str:
    fields = ",\n".join(f"  {name} = {{{value}}}" for name, value in found.fields.items())
    return f"@{found.kind}{{{key},\n{fields}\n}}"

"""docs/qualia.md says what the models say today."""

from __future__ import annotations

from pathlib import Path

from tests.hw import qualia_defects, qualia_page

PAGE = Path(__file__).parents[2] / "docs" / "qualia.md"


def test_the_tables_are_measured() -> None:
    text, found = PAGE.read_text(encoding="utf-8"), qualia_page.reports()
    for line in (*qualia_page.energies(found), *qualia_page.free(found), *qualia_page.counts(found)):
        assert line in text, f"docs/qualia.md lacks this line (python -m tests.hw.qualia_page prints all): {line}"


def test_every_defect_is_shown_with_its_numbers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for line in qualia_defects.lines():
        assert line in text, f"docs/qualia.md lacks this line (python -m tests.hw.qualia_defects prints all): {line}"
    assert all(told != true for told, true in (defect.counts() for defect in qualia_defects.defects()))

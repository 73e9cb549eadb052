"""Text that people read: links lead somewhere, and nothing in it belongs to one machine."""

from __future__ import annotations

import re
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+?)(?:#[^)]*)?\)")
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|opt|farm|home/\w+)/[a-z.]"
    r"|pypi\.org|pythonhosted\.org|download\.pytorch\.org|deb\.debian\.org|npmjs\.(?:org|com)"
)


def test_relative_links_lead_somewhere(project_files: list[Path], root: Path) -> None:
    dead = [
        f"{page}: {target}"
        for page in project_files
        if page.suffix == ".md"
        for target in LINK.findall((root / page).read_text(encoding="utf-8"))
        if "://" not in target and not (root / page.parent / target).exists()
    ]
    assert not dead, "\n".join(dead)


def _text(path: Path) -> str:
    data = b"" if path.is_symlink() or path.is_dir() else path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", errors="replace")


def test_nothing_belongs_to_one_machine(project_files: list[Path], root: Path) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in project_files
        for number, line in enumerate(_text(root / path).splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not found, "machine paths or registry hosts:\n" + "\n".join(found)


def test_the_pattern_sees_what_it_looks_for() -> None:
    bad = ("/" + "opt/wheels", "(/" + "home/ann/x)", "https://pypi" + ".org/simple")
    assert all(MACHINE.search(text) for text in bad)
    assert not any(MACHINE.search(text) for text in ("docs/work/a", "/usr/bin/env bash", "a/opt/b", "../root/x"))

"""Text and tables as LaTeX."""

from __future__ import annotations

from snn2chip.report.tables import Row, Sheet

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "µ": r"$\mu$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "…": r"\dots{}",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
}


def escaped(text: str) -> str:
    """`text` with everything that LaTeX would read as a command made plain; LaTeX reads other letters as UTF-8."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def table(sheet: Sheet, label: str) -> str:
    """A floating table in the rules of booktabs; the footnote follows the title in the caption."""
    caption = escaped(f"{sheet.title}. {sheet.footnote}".strip())
    lines = [
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        f"\\begin{{tabular}}{{{'l' * len(sheet.names)}{'r' * len(sheet.numbers)}}}",
        "\\toprule",
        _line((*sheet.names, *sheet.numbers)),
        "\\midrule",
        *(_line(row) for row in sheet.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table*}",
    ]
    return "\n".join(lines)


def _line(cells: Row) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"

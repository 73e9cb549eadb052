"""Text and tables as LaTeX that pdfLaTeX, XeLaTeX and LuaLaTeX read alike."""

from __future__ import annotations

import re

from snn2chip.report.tables import Row, Sheet

#: What LaTeX would read as a command, as another letter of its oldest font encoding, or not at all. Brackets and
#: stars are options of the command that ends a row. BibTeX counts braces, also those behind a backslash.
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    **{letter: f"\\{letter}" for letter in "&%$#_"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    '"': "''",
    "[": "{[}",
    "*": "{*}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "…": r"\dots{}",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "−": "$-$",
    "–": "--",
    "—": "---",
}
#: In the order of Unicode.
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "omicron", "pi", "rho", "finalsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
#: Greek capitals that look like Latin ones have no command of their own.
_CAPITALS = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}
_COMMANDS = {"omicron": "o", "finalsigma": r"\varsigma"}
_SPECIAL |= {chr(0x3B1 + place): f"${_COMMANDS.get(name, f'{chr(92)}{name}')}$" for place, name in enumerate(_GREEK)}
_SPECIAL |= {chr(0x391 + place): f"$\\{name.title()}$" for place, name in enumerate(_GREEK) if name in _CAPITALS}
_SPECIAL["µ"] = _SPECIAL["μ"]

_RANGE = re.compile(r"(?<=\d)\.\.(?=\d)")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")
_FIGURE = re.compile(r"(?<=\d) (?=(?:\$\\mu\$|[afpnmkMGTP])?(?:J|s|W)\b|\\%)")
#: pdfLaTeX knows the Latin letters up to here, and quotation marks.
_LATIN, _QUOTES = 0x17F, "‘’“”‚„"


def escaped(text: str) -> str:
    """`text` as LaTeX prints it letter for letter, in one line."""
    plain = _RANGE.sub("–", _BLANK.sub(" ", text))
    return "".join(_letter(letter, plain[place + 1 : place + 2]) for place, letter in enumerate(plain))


def _letter(letter: str, following: str) -> str:
    """Two hyphens, apostrophes or commas would be drawn as one sign."""
    apart = "{}" if letter == following and letter in "-'," else ""
    return _SPECIAL.get(letter, letter) + apart


def prose(text: str) -> str:
    """`text` as LaTeX, with its figures tied to their units."""
    return _FIGURE.sub("~", escaped(text))


def foreign(text: str) -> str:
    """The letters of LaTeX that pdfLaTeX does not know, each once, in order."""
    return "".join(sorted({letter for letter in text if ord(letter) > _LATIN and letter not in _QUOTES}))


def table(sheet: Sheet, label: str) -> str:
    """A floating table in the rules of booktabs, no wider than the page; the footnote follows the title."""
    caption = prose(f"{sheet.title}. {sheet.footnote}".strip())
    lines = [
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        "\\setlength{\\tabcolsep}{4pt}",
        "\\resizebox{\\ifdim\\width>\\linewidth \\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{{'l' * len(sheet.names)}{'r' * len(sheet.numbers)}}}",
        "\\toprule",
        _line((*sheet.names, *sheet.numbers)),
        "\\midrule",
        *(_line(row) for row in sheet.rows),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\end{table*}",
    ]
    return "\n".join(lines)


def _line(cells: Row) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"

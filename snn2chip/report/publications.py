"""Whole BibTeX entries of the publications that the shipped chip files rest on, by the title that the files give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Publication:
    """The type of a BibTeX entry and its fields, as BibTeX reads them."""

    kind: str
    fields: Mapping[str, str]


#: Checked against the publishers' records as others cite them; ``and others`` where an author list was not seen whole.
PUBLICATIONS: Mapping[str, Publication] = {
    "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning": Publication(
        "article",
        {
            "author": "Davies, Mike and Srinivasa, Narayan and Lin, Tsung-Han and Chinya, Gautham and others",
            "title": "{Loihi}: A Neuromorphic Manycore Processor with On-Chip Learning",
            "journal": "IEEE Micro",
            "volume": "38",
            "number": "1",
            "pages": "82--99",
            "year": "2018",
            "doi": "10.1109/MM.2018.112130359",
        },
    ),
    "Neuromorphic Nearest Neighbor Search Using Intel's Pohoiki Springs": Publication(
        "inproceedings",
        {
            "author": "Frady, E. Paxon and others",
            "title": "Neuromorphic Nearest Neighbor Search Using {Intel}'s {Pohoiki Springs}",
            "booktitle": "Neuro-Inspired Computational Elements Workshop (NICE)",
            "note": "Article 23",
            "year": "2020",
            "doi": "10.1145/3381755.3398695",
        },
    ),
    "Computing's Energy Problem (and what we can do about it)": Publication(
        "inproceedings",
        {
            "author": "Horowitz, Mark",
            "title": "1.1 Computing's Energy Problem (and What We Can Do about It)",
            "booktitle": "IEEE International Solid-State Circuits Conference (ISSCC), Digest of Technical Papers",
            "pages": "10--14",
            "year": "2014",
            "doi": "10.1109/ISSCC.2014.6757323",
        },
    ),
    "In-Datacenter Performance Analysis of a Tensor Processing Unit": Publication(
        "inproceedings",
        {
            "author": "Jouppi, Norman P. and others",
            "title": "In-Datacenter Performance Analysis of a Tensor Processing Unit",
            "booktitle": "International Symposium on Computer Architecture (ISCA)",
            "pages": "1--12",
            "year": "2017",
            "doi": "10.1145/3079856.3080246",
        },
    ),
    "An Analytical Estimation of Spiking Neural Networks Energy Efficiency": Publication(
        "inproceedings",
        {
            "author": 'Lemaire, Edgar and Cordone, Lo{\\"i}c and Castagnetti, Andrea and Novac, Pierre-Emmanuel and '
            "Courtois, Jonathan and Miramond, Beno{\\^i}t",
            "title": "An Analytical Estimation of Spiking Neural Networks Energy Efficiency",
            "booktitle": "International Conference on Neural Information Processing (ICONIP)",
            "pages": "574--587",
            "year": "2023",
            "doi": "10.1007/978-3-031-30105-6_48",
            "eprint": "2210.13107",
            "archiveprefix": "arXiv",
        },
    ),
    "SANA-FE": Publication(
        "article",
        {
            "author": "Boyle, James A. and Plagge, Mark and Cardwell, Suma George and Chance, Frances S. and "
            "Gerstlauer, Andreas",
            "title": "{SANA-FE}: Simulating Advanced Neuromorphic Architectures for Fast Exploration",
            "journal": "IEEE Transactions on Computer-Aided Design of Integrated Circuits and Systems",
            "volume": "44",
            "number": "8",
            "pages": "3165--3178",
            "year": "2025",
            "doi": "10.1109/TCAD.2025.3537971",
        },
    ),
}

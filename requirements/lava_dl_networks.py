"""Takes the networks of lava-dl's tests, with their stored results, out of its wheel: WHEEL FOLDER."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path, PurePosixPath

INSIDE = PurePosixPath("tests/lava/lib/dl/netx")
#: Left out: results of single layers in tens of megabytes, whose networks are not stored.
WITHOUT = ("complex_dense", "dense")


def main(wheel: str, folder: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if INSIDE not in path.parents or path.suffix not in (".net", ".npy") or path.parent.name in WITHOUT:
                continue
            target = Path(folder, *path.relative_to(INSIDE).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The main job on real data: a trained checkpoint becomes a certified artifact and an energy report.

Every line it runs is a command that you could type; files go to ``build/``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from snn2chip import zoo

BUILD = Path("build")
ARTIFACT = BUILD / "digits-loihi2"


def main() -> int:
    """Run the commands; 1 where the certificate is not EXACT in every form."""
    BUILD.mkdir(exist_ok=True)
    model = BUILD / "digits.pt"
    shutil.copyfile(zoo.path("sparse-n4-t1"), model)
    print(f"{model}: a trained Sparse-ResNet (N=4, T=1) on scikit-learn's digits, as shipped\n", flush=True)
    command("export", str(model), "--target", "loihi2")
    command(
        "simulate",
        str(ARTIFACT),
        "--energy-report",
        "--json",
        str(BUILD / "report.json"),
        "--html",
        str(BUILD / "report.html"),
    )
    certificate = json.loads((ARTIFACT / "certificate.json").read_text(encoding="utf-8"))
    results = [(entry["form"], entry["executor"], entry["status"]) for entry in certificate["results"]]
    print("certificate:", ", ".join(f"{form} ({program}) {status}" for form, program, status in results))
    print(f"open {BUILD / 'report.html'} in a browser")
    return 0 if all(status == "EXACT" for _, _, status in results) else 1


def command(*arguments: str) -> None:
    """Run one snn2chip command as a user would, showing it first."""
    print("$ snn2chip", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "snn2chip", *arguments], check=True)
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())

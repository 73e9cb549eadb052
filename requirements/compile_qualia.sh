#!/usr/bin/env bash
# Writes requirements/qualia.txt, what .venv-qualia holds beyond .venv and .venv-peers; run by `make lock` after both
# of theirs, whose versions it keeps.
set -euo pipefail
cd "$(dirname "$0")/.."
unset UV_FIND_LINKS UV_TORCH_BACKEND
"$1" -m uv pip compile requirements/qualia.in --universal --python-version 3.11 --upgrade --quiet \
    --constraint requirements/lock.txt --constraint requirements/peers.txt --override requirements/peers-overrides.txt \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links |
    awk -F== 'FNR == 1 { file++ } file < 3 { locked[$1] = 1; next } !($1 in locked) && !/never/' \
        requirements/lock.txt requirements/peers.txt - > requirements/qualia.txt.new
mv requirements/qualia.txt.new requirements/qualia.txt

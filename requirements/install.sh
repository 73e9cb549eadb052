#!/usr/bin/env bash
# Builds the environment in folder $1 with the locked versions; run by `make`, which does so once.
# PYTHON names the interpreter to use; without it the first of python3, python3.13 .. python3.10 that fits is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv}
lock=requirements/lock.txt

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        # Version managers put names on PATH that fail when called: only running one tells.
        if fits "$candidate"; then echo "$candidate"; return; fi
    done
    echo "snn2chip needs Python 3.10 to 3.13: install one, or name it: make PYTHON=python3.12" >&2
    return 1
}

if ! fits "$environment/bin/python"; then
    python=$(find_python)
    "$python" -m venv --clear "$environment" || {
        echo "$python cannot make environments: install its venv module (Debian, Ubuntu: python3-venv)" >&2
        exit 1
    }
fi
python=$environment/bin/python
pip_setting() { "$python" -m pip config list | sed -n "s/^[a-z]*\.$1='\(.*\)'\$/\1/p"; }

# uv keeps to the system's certificates and to the index that pip is configured with, as pip does.
export UV_SYSTEM_CERTS=true
index=$(pip_setting index-url | tail -n 1)
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
"$python" -m uv --version >/dev/null 2>&1 || "$python" -m pip install -qq --constraint "$lock" uv
quiet=--quiet
[ ! -t 2 ] || quiet=
install() { "$python" -m uv pip install $quiet --python "$python" --constraint "$lock" --build-constraint "$lock" "$@"; }

has_gpu() { nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

local_cpu_torch() {  # the folder, among those that pip is told to look into, that holds the locked CPU build
    local version tag folder
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$lock")
    tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    for folder in $(printf '%b ' "$(pip_setting find-links)"); do
        if compgen -G "$folder/torch-$version+cpu-$tag-*.whl" >/dev/null; then echo "$folder"; return; fi
    done
}

echo "Building $environment with $("$python" --version) ..."
if ! has_gpu; then
    folder=$(local_cpu_torch)
    if [ -n "$folder" ]; then
        install --find-links "$folder" torch
    elif ! install --torch-backend=cpu torch; then
        echo "No CPU build of PyTorch could be had: taking the default build, which brings CUDA (about 2 GB)." >&2
    fi
fi
install --override requirements/overrides.txt --group test --compile-bytecode --editable .

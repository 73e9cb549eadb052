#!/usr/bin/env bash
# Builds the environment in folder $1 with the locked versions; run by `make`, which does so once.
# PYTHON names the interpreter to use (interpreter.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
source requirements/interpreter.sh
environment=${1:-.venv}
lock=requirements/lock.txt

if ! fits "$environment/bin/python" 10; then
    python=$(find_python 10 snn2chip)
    "$python" -m venv --clear "$environment" || {
        echo "$python cannot make environments: install its venv module (Debian, Ubuntu: python3-venv)" >&2
        exit 1
    }
fi
python=$environment/bin/python
as_pip "$python"
"$python" -m uv --version >/dev/null 2>&1 || "$python" -m pip install -qq --constraint "$lock" uv
quiet=--quiet
[ ! -t 2 ] || quiet=
install() {  # compiled at once: what every process of the tests would do again where Python may not write
    "$python" -m uv pip install $quiet --compile-bytecode --python "$python" --constraint "$lock" \
        --build-constraint "$lock" "$@"
}

has_gpu() { nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

local_cpu_torch() {  # the folder, among those that pip is told to look into, that holds the locked CPU build
    local version tag folder
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$lock")
    tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    for folder in $(printf '%b ' "$(pip_setting "$python" find-links)"); do
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
install --override requirements/overrides.txt --group test --editable .

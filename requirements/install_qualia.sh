#!/usr/bin/env bash
# Builds the environment in folder $1 in which tests/peers/test_qualia.py runs Qualia as a program of its own: .venv's
# versions, and Qualia without what its energy estimate never calls (Lightning's trainer excepted: Qualia imports it).
# SpikingJelly 2 needs Python 3.11 or later; PYTHON names the interpreter to use, as in install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv-qualia}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "SpikingJelly 2 needs Python 3.11 to 3.13: install one, or name it: make PYTHON=python3.12 test-peers" >&2
    return 1
}

python=$(find_python)
PYTHON=$python requirements/install.sh "$environment"
python=$environment/bin/python
export UV_SYSTEM_CERTS=true
index=$("$python" -m pip config list | sed -n "s/^[a-z]*\.index-url='\(.*\)'\$/\1/p" | tail -n 1)
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
"$python" -m uv pip install --quiet --python "$python" --requirement requirements/qualia.in \
    --constraint requirements/lock.txt --constraint requirements/peers.txt --constraint requirements/qualia.txt \
    --override requirements/peers-overrides.txt

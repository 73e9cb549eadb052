#!/usr/bin/env bash
# Builds the environment in folder $1 in which tests/peers run: .venv's versions, the frameworks of peers.in on the same
# PyTorch, and lava-dl's own networks as plain files. Run by `make test-peers`, which does so once.
# SpikingJelly 2 needs Python 3.11 or later; PYTHON names the interpreter to use, as in install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${1:-.venv-peers}
lava_dl=lava-dl==0.6.0
spikingjelly=spikingjelly==0.0.0.0.14  # what most people still have: beside the newer one, for one test
neurobench=neurobench==2.3.0  # its counts need nothing of what it asks for beyond snnTorch
syops=(syops==0.0.5 progress==1.6.1)  # counts beside the older SpikingJelly, for one benchmark
source requirements/interpreter.sh

python=$(find_python 11 "SpikingJelly 2" test-peers)
PYTHON=$python requirements/install.sh "$environment"
python=$environment/bin/python
as_pip "$python"
install() { "$python" -m uv pip install --quiet --python "$python" "$@"; }
install --compile-bytecode --requirement requirements/peers.in \
    --constraint requirements/lock.txt --constraint requirements/peers.txt \
    --override requirements/peers-overrides.txt
install --no-deps --target "$environment/share/spikingjelly-0.0.0.0.14" "$spikingjelly"
install --no-deps --target "$environment/share/neurobench" "$neurobench"
install --no-deps --target "$environment/share/syops" "${syops[@]}"

# lava-dl is made for Python 3.10 and NumPy 1, and its wheel installs a package called `tests`: only files are taken.
networks=$environment/share/lava-dl
if [ ! -e "$networks" ]; then
    download=$(mktemp -d "$environment/lava-dl.XXXXXX")
    trap 'rm -rf "$download"' EXIT
    "$python" -m pip download --quiet --no-deps --ignore-requires-python --only-binary :all: --dest "$download" "$lava_dl"
    "$python" requirements/lava_dl_networks.py "$download"/lava_dl-*.whl "$download/networks"
    mkdir -p "$(dirname "$networks")"
    mv "$download/networks" "$networks"
fi

#!/bin/sh
# Make .venv: uv at the version and hash that requirements.txt pins, then everything else through it.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "hwdash needs Python 3.11 or newer; $python is $("$python" --version). Name another: make PYTHON=python3.12 ..." >&2
    exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || sh scripts/system-packages.sh python3-venv

[ -x .venv/bin/python ] || "$python" -m venv .venv
awk '/^[a-z]/ { wanted = /^uv==/ } wanted && !/^ *#/' requirements.txt > .venv/uv.txt
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
# Where Python is told to write no bytecode, each start of a program would compile all that it imports anew: 2 s a time.
# A package may hold a file for another Python, which cannot be compiled and is not needed.
.venv/bin/python -m compileall -qq -j 0 .venv/lib || :
.venv/bin/python -m compileall -q src
touch .venv/ready

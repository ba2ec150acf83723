#!/bin/sh
# Install the public clients that the tests run into .peers/clients, an environment without anything of hwdash.
set -eu
cd "$(dirname "$0")/.."
clients=.peers/clients
pins=tests/clients/requirements.txt
cmp -s "$pins" "$clients/installed.txt" && exit 0

rm -rf "$clients"
.venv/bin/uv venv --quiet --python .venv/bin/python "$clients"
# First what the two that come as source are built with.
awk '/^[a-z]/ { wanted = /^setuptools==/ } wanted' "$pins" > "$clients/setuptools.txt"
.venv/bin/uv pip install --quiet --python "$clients/bin/python" --require-hashes --no-deps -r "$clients/setuptools.txt"
.venv/bin/uv pip install --quiet --python "$clients/bin/python" --require-hashes --no-deps --no-build-isolation -r "$pins"
cp "$pins" "$clients/installed.txt"

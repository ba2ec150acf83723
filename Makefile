# setup   make .venv with everything that hwdash, its tests and its benchmarks need
# demo    take the sample driver from unsigned to signed, on this machine
# test    run every test
# security  attack the service's security claims, and print what came of it
# sbom    write the bill of materials of a release to dist/hwdash.cdx.json
# wheel   build the wheel twice, compare, and keep it in dist
# conformance  compare a throwaway service with the API's contract, row by row
# fuzz    fuzz every parser for ten minutes (SECONDS=600)
# check   run the linters
# bench   run every benchmark against its peer
# lock    write requirements.txt anew from pyproject.toml

PYTHON ?= python3
BENCHES := $(filter-out bench/report.py,$(wildcard bench/*.py))

SECONDS ?= 600

.PHONY: setup demo test security sbom wheel conformance fuzz check bench lock clean

setup: .venv/ready

.venv/ready: requirements.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

demo: setup
	@.venv/bin/hwdash demo

test: setup
	@sh scripts/system-packages.sh osslsigncode cabextract gcab clamav-daemon gcc-mingw-w64-x86-64 unzip openssl systemd xmlsec1 postgresql softhsm2
	@sh scripts/public-clients.sh
	.venv/bin/python -m pytest -n 2 --dist worksteal -q

security: setup
	@sh scripts/system-packages.sh openssl systemd postgresql softhsm2
	@.venv/bin/python scripts/security.py

sbom: setup
	@mkdir -p dist
	@.venv/bin/python scripts/sbom.py > dist/hwdash.cdx.json
	@echo "bill of materials: $(CURDIR)/dist/hwdash.cdx.json"

wheel: setup
	@.venv/bin/python scripts/wheel.py

conformance: setup
	@.venv/bin/hwdash conformance --local

fuzz: setup
	@sh scripts/system-packages.sh cabextract gcc-mingw-w64-x86-64
	.venv/bin/python tests/fuzz/run.py --seconds $(SECONDS)

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup
	@sh scripts/system-packages.sh osslsigncode cabextract gcab zip wrk postgresql
	@command -v npm >/dev/null || sh scripts/system-packages.sh npm
	@for each in $(BENCHES); do echo "== $$each"; .venv/bin/python $$each || exit 1; done

lock: setup
	.venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --group dev \
	    --extra azure --extra pkcs11 --extra postgresql pyproject.toml --output-file requirements.txt

clean:
	rm -rf .venv .peers .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Everything from nothing: Python 3.11+ with venv, make, and the package registries.
PYTHON ?= python3
BIN := .venv/bin
# Two processes, cut off from every other machine: a test that reaches out fails, and so does what it starts.
PYTEST = ENVOL_LOOPBACK=1 $(BIN)/python -m pytest -n 2 --dist loadscope
ARGS ?=
FACTOR ?= 4

.DEFAULT_GOAL := help
# A process of ours reads a thousand modules: compiled anew at each start they cost it two seconds of three.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo demo-check picture looks screenshots journeys promised test test-slow test-peers lint bench crash faults compatibility fuzz wheel clean lock setup messages

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

.venv/.ready: requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Envol needs Python 3.11 or newer; name it with make PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies into .venv"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt \
	  || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

UI := $(shell find ui -path ui/node_modules -prune -o -type f -print)
envol/web/static/dist/.ready: .venv/.ready $(UI)
	@$(BIN)/python ui/build.py

envol/contacts/data/postcodes.json.gz: .venv/.ready ui/places.py ui/package-lock.json | envol/web/static/dist/.ready
	@$(BIN)/python ui/places.py

MO := envol/web/locale/.ready
$(MO): .venv/.ready $(wildcard envol/web/locale/*/LC_MESSAGES/*.po)
	@$(BIN)/python -m envol.run.messages
	@touch $@

setup: .venv/.ready envol/web/static/dist/.ready envol/contacts/data/postcodes.json.gz $(MO) ## environment, pages' assets, words: all that the others need

demo: setup ## a French bookshop: import, permission, segment, send, measure; stays up
	@$(BIN)/envol demo --data demo-data $(ARGS)

demo-check: setup ## the same without a screen; fails unless every figure is right
	@$(BIN)/envol demo --data demo-check-data --check $(ARGS)

test: setup lint ## everything that needs nothing but this machine
	@$(PYTEST) -m "not peers and not road and not looks and not slow" $(ARGS)

test-slow: setup ## what takes longer than twenty seconds each: every page by axe, every form besieged, engines against each other
	@$(PYTEST) -m "slow and not peers and not road and not looks" $(ARGS)

test-peers: setup ## against Debian's mail servers and clients (apt-get install postfix opendkim-tools swaks unbound)
	@$(BIN)/python -m pytest -m peers $(ARGS)

lint: .venv/.ready ## style, types, directions of imports
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .
	@ENVOL_DATA=.mypy_cache/envol $(BIN)/mypy --no-error-summary envol
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }; echo "$$said" | tail -n 3

bench: setup ## ratios, each measured in one run: make bench ARGS='send import --json'
	@$(BIN)/python -m bench $(ARGS)

crash: setup ## kill -9 at random: make crash ARGS='--kills 200 --messages 1000000'
	@$(BIN)/python -m tests.crash.run $(ARGS)

faults: setup ## the database stopped at once, its disk full, its clock thrown by a day, while mail is taken and sent
	@for fault in stop full clock; do $(BIN)/python -m tests.crash.run --victims $$fault --kills 4 --messages 20000 --no-controls $(ARGS) || exit 1; done

compatibility: setup ## docs/api/compatibility.md anew, from the results of the tests that its rows name
	@$(BIN)/python -m tests.api.compatibility

fuzz: setup ## parsers, language and gates against many more examples: make fuzz FACTOR=4 (five minutes to half an hour)
	@ENVOL_FUZZ=$(FACTOR) $(BIN)/python -m pytest -n 2 --dist loadscope --timeout 7200 $$(grep -rlE --include='test_*.py' '@given|schemathesis|tests.examples' tests) $(ARGS)

picture: setup ## the picture of the README, from a running `make demo`
	@$(BIN)/python -m tests.browser.picture $(ARGS)

journeys: setup ## play the journeys by keyboard, count clicks and seconds, write docs/journeys.md
	@$(BIN)/python -m pytest -q tests/journeys $(ARGS) && $(BIN)/python -m tests.journeys.table

promised: setup ## one segment of six rules by keyboard, in under a minute, in both languages
	@$(BIN)/python -m pytest -q tests/browser/test_promised_segment.py $(ARGS)

looks: setup ## axe over every page in all eight triples of language, theme and width
	@$(BIN)/python -m pytest -q --timeout 900 tests/browser/test_pages.py -k every_page $(ARGS)

screenshots: setup ## every page in both languages and themes, three widths, into screenshots/
	@$(BIN)/python -m pytest -q --timeout 1800 tests/browser/screenshots.py && echo "Look into screenshots/"

wheel: setup ## dist/*.whl with built assets inside
	@$(BIN)/python -m build --wheel --no-isolation -o dist . >/dev/null && ls dist/*.whl

lock: ## write requirements/ anew from pyproject.toml
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q --upgrade pyproject.toml --extra demo -o requirements/run.txt
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q pyproject.toml -c requirements/run.txt --extra demo --group dev -o requirements/dev.txt
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q pyproject.toml -c requirements/dev.txt --extra demo --extra chdb -o requirements/clickhouse.txt

messages: .venv/.ready ## gather the words of pages into the catalogues
	@ENVOL_DATA=.mypy_cache/envol $(BIN)/python -m envol.web.words

clean: ## remove what was built; data directories stay
	@rm -rf .venv ui/node_modules envol/web/static/dist dist build .mypy_cache .ruff_cache .pytest_cache

PYTHON ?= $(shell command -v python3.11 || command -v python3)
ifneq ($(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null),True)
$(error ModelGuild needs Python 3.11: install it, or name it with `make PYTHON=/path/to/python3.11`)
endif

VENV := .venv
BIN := $(VENV)/bin
PIP_QUIET = PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
PIP_INSTALL = $(PIP_QUIET) -c constraints.txt
# One process a core, a file whole in one of them: the live sites are shared within a process.
SPREAD = -n auto --maxprocesses 4 --dist loadfile
LOCKS := pyproject.toml constraints.txt

.PHONY: help run test test-services check bench vendor lock messages clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/run.stamp  ## install, then start the whole site on this machine
	@exec $(BIN)/python manage.py up

test: $(VENV)/dev.stamp $(VENV)/clients.stamp  ## the whole suite on SQLite, a local folder and an embedded Valkey
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

test-services: $(VENV)/dev.stamp $(VENV)/clients.stamp  ## the suite against PostgreSQL and Redis (DATABASE_URL, REDIS_URL)
	DATABASE_URL=$${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/modelguild} \
	REDIS_URL=$${REDIS_URL:-redis://127.0.0.1:6379/11} \
	$(BIN)/python -m pytest $(SPREAD) -m "not browser and not pure" \
		--ignore tests/contract/test_up.py $(ARGS)

check: $(VENV)/dev.stamp  ## lint, format, types, import rules, templates, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint config hub contributions evaluation
	DJANGO_SETTINGS_MODULE=config.settings_test $(BIN)/python manage.py makemigrations --check --dry-run

bench: $(VENV)/dev.stamp  ## measure against peers; writes benchmarks/results/*.json
	$(BIN)/python -m benchmarks $(ARGS)

messages: $(VENV)/dev.stamp  ## compile the translations (needs gettext)
	$(BIN)/python manage.py compilemessages --ignore $(VENV) --ignore node_modules

VENDOR := config/static/vendor
vendor:  ## copy the front-end files of package-lock.json into config/static/vendor
	npm ci --ignore-scripts --no-audit --no-fund
	rm -rf $(VENDOR) && mkdir -p $(addprefix $(VENDOR)/,bootstrap bootstrap-icons echarts htmx)
	cd node_modules && cp bootstrap/LICENSE bootstrap/dist/css/bootstrap.min.css \
		bootstrap/dist/js/bootstrap.bundle.min.js ../$(VENDOR)/bootstrap/
	cp node_modules/@popperjs/core/LICENSE.md $(VENDOR)/bootstrap/LICENSE-popper
	cp node_modules/bootstrap-icons/LICENSE $(VENDOR)/bootstrap-icons/
	cd node_modules/echarts && cp LICENSE NOTICE dist/echarts.min.js ../../$(VENDOR)/echarts/
	cp node_modules/zrender/LICENSE $(VENDOR)/echarts/LICENSE-zrender
	cp node_modules/tslib/LICENSE.txt $(VENDOR)/echarts/LICENSE-tslib
	cd node_modules/htmx.org && cp LICENSE dist/htmx.min.js ../../$(VENDOR)/htmx/
	sed -i -e '/^[/*#@ ]*sourceMappingURL=/d' $(VENDOR)/bootstrap/*.css $(VENDOR)/bootstrap/*.js
	find $(VENDOR) -name '*.css' -o -name '*.js' | xargs gzip --best --no-name --keep
	$(BIN)/python manage.py build_icons

lock: $(VENV)/bin/python  ## resolve pyproject.toml afresh into constraints.txt
	$(BIN)/python -m pip install --quiet --dry-run --ignore-installed --report $(VENV)/lock.json \
		-e '.[web,worker,dev]'
	$(BIN)/python -c 'import json; \
	pins = {i["metadata"]["name"].lower().replace("_", "-"): i["metadata"]["version"].split("+")[0] \
	for i in json.load(open("$(VENV)/lock.json"))["install"]}; pins.pop("modelguild"); \
	open("constraints.txt", "w").writelines(f"{n}=={v}\n" for n, v in sorted(pins.items()))'

# The generations of huggingface_hub that the contract suite drives, each in a folder of its own.
CLIENTS := $(wildcard tests/clients/*.txt)
$(VENV)/clients.stamp: $(CLIENTS) | $(VENV)/dev.stamp
	@rm -rf $(VENV)/clients
	@for lock in $(CLIENTS); do $(PIP_QUIET) --no-deps -r $$lock \
		--target $(VENV)/clients/$$(basename $$lock .txt) || exit 1; done
	@touch $@

clean:  ## remove what was built; the data folder stays
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(LOCKS) | $(VENV)/bin/python
	@echo "Installing ModelGuild into $(VENV); the first time this takes a few minutes."
	$(PIP_INSTALL) -e '.[web,worker]'
	@touch $@

$(VENV)/dev.stamp: $(LOCKS) | $(VENV)/bin/python
	@echo "Installing ModelGuild and its test tools into $(VENV)."
	$(PIP_INSTALL) -e '.[web,worker,dev]'
	@touch $@ $(VENV)/run.stamp

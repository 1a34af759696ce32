# The commands of this repository; see README.md and CONTRIBUTING.md. Options are passed in ARGS, for example
# `make run ARGS="--once --port 8100"` or `make test ARGS="-k lease -x"`.
.DEFAULT_GOAL := help
.PHONY: help venv run test test-fast soak check docs bench demo-model bench-api model lock clean
python := .venv/bin/python

help: ## List these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1 # \2/p' $(MAKEFILE_LIST) | column -t -s '#' 2>/dev/null || true

venv: ## Create or update .venv from the lock file; other commands do so automatically
	@dev/setup.sh

run: venv ## Start the whole stack locally, transcribe the sample, run until Ctrl-C (ARGS=--once: stop after it)
	@exec $(python) -m dev --end-with-parent $(ARGS)

test: venv ## Run the tests that are not marked slow, in two processes (ARGS replaces that: ARGS="tests/db -k lease -x")
	@dev/browser.sh
	@exec $(python) -m pytest $(or $(ARGS),-n 2 -m "not slow")

test-fast: venv ## Run the unit tests: no server, no process, no torch; under a minute
	@exec $(python) -m pytest -n 2 tests/unit $(ARGS)

soak: venv ## Inject every fault 20 times under load; writes bench/results/soak.json (ARGS=--minutes=3: each once)
	@exec nice $(python) -m tests.faults.soak $(ARGS)

check: venv ## Lint, types, import rules, the console, migrations against models, vulnerabilities of dependencies
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(python) -c 'from importlinter.cli import lint_imports_command as c; c()'
	$(python) -m dev.check_migrations
	$(python) -m dev.console check
	$(python) -m dev.audit

docs: ## Build the documentation site in site/, which needs no server
	@dev/docs.sh $(ARGS)

bench: venv ## Compare the engine with its peers; tables here and in bench/results (ARGS=--quick: about 4 minutes)
	@exec $(python) -m bench $(ARGS)

demo-model: venv ## Rebuild the bundled demo model: synthesise, train, evaluate, write its card
	@exec $(python) -m training $(ARGS)

model: venv ## Download the production model before a worker needs it
	@exec $(python) -m worker.transcription.models

bench-api: venv ## Measure the API: submit, poll, list, upload, start; writes bench/results/api.json
	@exec $(python) -m bench.api $(ARGS)

lock: venv ## Pin the dependencies of pyproject.toml again (ARGS=--upgrade: newest versions)
	@dev/lock.sh $(ARGS)

clean: ## Remove .venv and caches; the data in .paraqueue stays
	rm -rf .venv .venv-docs .tools .cache site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The commands of this repository; see README.md and CONTRIBUTING.md. Options are passed in ARGS, for example
# `make run ARGS="--once --port 8100"` or `make test ARGS="-k lease -x"`.
.DEFAULT_GOAL := help
.PHONY: help venv venv-run run doctor admin test test-fast soak check docs bench demo-model bench-api bench-misbehave bench-cluster model lock clean
python := .venv/bin/python
# Some images set it; every process would then compile all its modules anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

help: ## List these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1 # \2/p' $(MAKEFILE_LIST) | column -t -s '#' 2>/dev/null || true

venv: ## Create or update .venv for tests and checks; other commands install what they need
	@dev/setup.sh dev

venv-run:
	@dev/setup.sh run

run: venv-run ## Start the whole stack locally, transcribe the sample, run until Ctrl-C (ARGS=--once: stop after it)
	@exec $(python) -m dev --end-with-parent $(ARGS)

doctor: venv-run ## Check every part of the stack that make run started (ARGS=--deep: load torch too)
	@exec $(python) -m dev.operate doctor $(ARGS)

admin: venv-run ## Run an operator command on that stack, for example ARGS="keys list"
	@exec $(python) -m dev.operate $(ARGS)

# COVERAGE=off saves a third of the processor time.
test: venv ## Run the tests that are not marked slow, in two processes (ARGS replaces that: ARGS="tests/db -k lease -x")
	@dev/browser.sh
	@exec $(python) -m pytest $(or $(ARGS),-n 2 -m "not slow" $(if $(filter off,$(COVERAGE)),,--cov --cov-report=))

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
	$(python) -m dev.openapi
	$(python) -m dev.audit

docs: ## Build the documentation site in site/, which needs no server
	@dev/docs.sh $(ARGS)

bench: venv ## Compare the engine with its peers; tables here and in bench/results (ARGS=--quick: about 4 minutes)
	@exec $(python) -m bench $(ARGS)

demo-model: venv ## Rebuild the bundled demo model: synthesise, train, evaluate, write its card
	@exec $(python) -m training $(ARGS)

model: venv-run ## Download the production model before a worker needs it
	@exec $(python) -m worker.transcription.models

bench-api: venv ## Measure the API: submit, poll, list, upload, start; writes bench/results/api.json
	@exec $(python) -m bench.api $(ARGS)

bench-misbehave: venv ## Measure one tenant beside another that misbehaves; writes bench/results/misbehave.json (ARGS=--quick)
	@exec $(python) -m bench.misbehave $(ARGS)

bench-cluster: venv ## Measure PostgreSQL under 1,000 simulated workers; writes bench/results/cluster.json (ARGS="--workers 100")
	@exec $(python) -m bench.cluster $(ARGS)

lock: venv ## Pin the dependencies of pyproject.toml again (ARGS=--upgrade: newest versions)
	@dev/lock.sh $(ARGS)

clean: ## Remove .venv and caches; the data in .paraqueue stays
	rm -rf .venv .venv-docs .tools .cache site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Two commands matter: `make demo` and `make test`. Both set everything up by themselves.

PY := .venv/bin/python
SETUP := pyproject.toml scripts/setup.sh

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: .venv/base.ready ## see it work (FROM=path: on your own agent's sessions)
	@$(PY) scripts/demo.py $(if $(FROM),--from "$(FROM)")

test: .venv/dev.ready ## the whole suite, on SQLite and PostgreSQL
	@CLEW_SAY_NEXT=1 $(PY) -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

lint: .venv/dev.ready ## style, types, import layers, and no private address in a file
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PY) scripts/check_hosts.py

bench: .venv/dev.ready ## how fast it is on this machine
	@$(PY) -m bench $(ARGS)

torture: .venv/dev.ready ## long fault-injection runs
	@CLEW_TORTURE=1 $(PY) -m pytest tests/torture -n logical --maxprocesses 8 --dist worksteal $(ARGS)

trainers: .venv/dev.ready ## exports against the programs that train on them (about 2 GB, once)
	@TORCH="$(TORCH)" scripts/trainers.sh $(ARGS)

cluster: .venv/dev.ready ## export on Ray clusters of this machine (installs 300 MB)
	@scripts/cluster.sh $(ARGS)

docs: .venv/dev.ready ## write the reference pages anew from the code
	@$(PY) scripts/make_docs.py

requirements: ## pin the dependencies anew (needs uv)
	@scripts/lock.sh

clean: ## remove .venv and everything that was made
	@rm -rf .venv .venv-trainers .venv-cluster build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/base.ready: requirements/base.txt $(SETUP)
	@scripts/setup.sh base

.venv/dev.ready: requirements/dev.txt $(SETUP)
	@scripts/setup.sh dev

.PHONY: help demo test lint bench torture trainers cluster docs requirements clean

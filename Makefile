# Names of commands; each does its set-up first. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup doctor engine engine-stop slim full all test test-images test-mutants lint lock render bench clean
PYTHON := .venv/bin/python

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

setup: ## install what is missing: Debian packages and .venv
	@scripts/setup

doctor: setup ## say what this machine lacks, with the fixes
	@./build.py doctor

engine: setup ## start the private container engine, where none answers
	@./build.py engine start

engine-stop: ## stop the private container engine
	@./build.py engine stop

slim: setup ## build, judge and tag worker:slim
	@./build.py --variant slim

all: setup ## build both at once, then judge and tag each
	@./build.py --variant all

full: setup ## build, judge and tag worker:full
	@./build.py --variant full

test: setup ## unit, static and image layers, of every variant that can be built
	@$(PYTHON) -m pytest -q tests/unit tests/static || exit 5
	@./build.py test

test-images: setup ## the image layer alone
	@./build.py test

test-mutants: slim ## prove that the judge fails what is wrong
	@$(PYTHON) -m pytest -q tests/mutants || exit 5

lint: ## ruff, mypy, hadolint, shellcheck, drift
	@scripts/setup lint
	@scripts/lint

lock: setup ## write go.mod and go.sum of each Go component from versions.yaml
	@./build.py lock

render: setup ## write the committed Dockerfiles and versions.schema.json
	@./build.py render

bench: slim ## measure against the bars, as ratios
	@$(PYTHON) -m bench

clean: ## remove out/ and .venv; the cache under ~/.cache/worker-images stays
	rm -rf out .venv

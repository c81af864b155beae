# Names of commands; each does its set-up first. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup doctor engine engine-stop slim full all example test test-images test-workload gpu-kit verify test-mutants test-offline test-engines test-examples report lint lock accept render bench clean
PYTHON := .venv/bin/python
# They would lead the machine's Python, and .venv's, to other modules.
unexport PYTHONHOME PYTHONPATH
IMAGES := ./build.py test && { $(PYTHON) -m pytest -q --junit-xml out/images/junit.xml tests/relation tests/push tests/kit tests/machine || exit 5; }
IMAGES := ./build.py test && { $(PYTHON) -m pytest -q tests/relation tests/push tests/kit tests/machine || exit 5; }
# One process a core: these tests share nothing.
PARALLEL := -n auto --maxprocesses 8 --dist worksteal
WORKLOAD := $(PYTHON) -m worker_images.node workload
# Ends a recipe with the table, also where its tests failed, and with their status.
REPORT := status=$$?; ./build.py report --json out/report/report.json && exit $$status

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

example: full ## build examples/beta9 on the full image, into out/beta9/image.tar
	@$(PYTHON) -m examples.beta9

test: setup ## unit, static, image and workload layers of all variants, how they relate, and a push
	@rm -f out/test/junit.xml out/images/junit.xml
	@($(PYTHON) -m pytest -q --junit-xml out/test/junit.xml tests/unit tests/static || exit 5; $(IMAGES) && $(WORKLOAD)); $(REPORT)

test-images: setup ## the image layer, how the images relate, and a push
	@rm -f out/images/junit.xml
	@($(IMAGES)); $(REPORT)

test-workload: all ## CUDA in each image's own runsc, as far as this machine can
	@$(WORKLOAD); $(REPORT)

verify: slim ## the requirements' checklist; VERIFY="--node" asks this machine, "--context NAME --pod POD" a cluster
	@$(PYTHON) -m worker_images.node verify --image out/slim/image.tar --json out/verify/verify.json --html out/verify/index.html $(VERIFY)

gpu-kit: slim ## the workload layer and slim as one archive, for a GPU node that has only Python
	@./build.py gpu-kit

test-mutants: all ## prove that the judge fails what is wrong
	@rm -f out/mutants/judge.xml
	@$(PYTHON) -m pytest -q --junit-xml out/mutants/judge.xml tests/mutants || (exit 5); $(REPORT)

report: setup ## what is known of the images: out/report/index.html and report.json
	@./build.py report --json out/report/report.json --html out/report/index.html

test-offline: slim ## without a network to the same digest, and slim for arm64
	@rm -f out/offline/junit.xml
	@$(PYTHON) -m pytest -q --junit-xml out/offline/junit.xml tests/offline || exit 5

test-engines: slim ## images on other engines: Docker, BuildKit and Podman of today, from package registries
	@rm -f out/engines/junit.xml
	@$(PYTHON) -m pytest -q --junit-xml out/engines/junit.xml tests/engines || exit 5

test-examples: full ## build the example, run what it adds, judge it
	@rm -f out/examples/junit.xml
	@$(PYTHON) -m pytest -q --junit-xml out/examples/junit.xml tests/examples || exit 5

lint: ## ruff, mypy, hadolint, shellcheck, drift
	@scripts/setup lint
	@scripts/lint

lock: setup ## write versions.lock, go.mod and go.sum: what the pins mean today
	@./build.py lock

accept: setup ## after a change: resolve what is new, build, test, write the ledger and the documents
	@./build.py accept

render: setup ## write the committed Dockerfiles and versions.schema.json
	@./build.py render

bench: all ## measure against the bars, as ratios
	@$(PYTHON) -m bench

clean: ## remove out/ and .venv; the cache under ~/.cache/worker-images stays
	rm -rf out .venv

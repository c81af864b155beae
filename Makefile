# Each target runs set-up first. `make help` lists them. build.py has the other commands.
.DEFAULT_GOAL := help
.PHONY: help setup doctor slim full all test cluster cluster-stop accept lock lint bench clean
# These variables would make Python load other modules.
unexport PYTHONHOME PYTHONPATH

help: ## list the targets
	@sed -n 's/^\([a-z%-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## install what is missing: Debian packages and .venv
	@scripts/setup

doctor: setup ## list what this machine lacks, with the fixes
	@./build.py doctor

slim: setup ## build, test and tag worker:slim
	@./build.py --variant slim

full: setup ## build, test and tag worker:full
	@./build.py --variant full

all: setup ## build both in one build, then test and tag each
	@./build.py --variant all

test: setup ## run the common test layers: unit, static, image, variants, registry, node_kit, machine, workload
	@./build.py test

test-%: setup ## run one test layer, such as test-image or test-mutation
	@./build.py test $*

cluster: setup ## start a Kubernetes cluster of one node on this machine, with both images
	@./build.py cluster start

cluster-stop: ## end the cluster and remove its data
	@./build.py cluster stop

accept: setup ## after a change: resolve what is new, render, build, test, write the ledger and the documents
	@./build.py accept

lock: setup ## resolve all pins again: versions.lock, go.mod, go.sum
	@./build.py lock

lint: ## run ruff, mypy, import-linter, hadolint, shellcheck, actionlint and zizmor, and check the generated files
	@scripts/setup lint
	@scripts/lint

bench: all ## measure speed, size and memory as ratios against limits and peers
	@.venv/bin/python -m bench

clean: ## remove out/ and .venv; the cache under ~/.cache/worker-images stays
	rm -rf out .venv

# Two targets do all set-up on a fresh Debian or Ubuntu machine with Rust: demo and test.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CACHE := .cache
VENV := .venv
SPEED ?= 10
NINES := target/release/nines
IMAGES := $(CURDIR)/$(CACHE)/images

.PHONY: help
help: ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: packages
packages: ## Debian packages that the cloud and its build need
	@scripts/packages

.PHONY: terraform
terraform: ## Terraform, unless it or OpenTofu is there
	@scripts/terraform

$(VENV)/.done: scripts/requirements.txt
	@command -v python3 >/dev/null && python3 -m venv $(VENV)
	@$(VENV)/bin/pip install -q -r scripts/requirements.txt && touch $@

.PHONY: venv
venv: $(VENV)/.done ## boto3, the AWS CLI and pytest, in a virtual environment

.PHONY: build
build: packages ## The one binary
	cargo build --release -p nines

.PHONY: images
images: packages ## The machine images and the demo's container image, from Debian packages
	images/build debian-12-docker debian-12
	images/container --app stacks/web-ha/app --name web-ha --tag 1

.PHONY: demo
demo: packages terraform venv build images ## Start the cloud, apply stacks/web-ha, tell how to break it
	@NINES=$(NINES) IMAGES=$(IMAGES) SPEED=$(SPEED) PATH="$(CURDIR)/$(VENV)/bin:$(CURDIR)/$(CACHE)/bin:$$PATH" scripts/demo

.PHONY: demo-down
demo-down: ## Destroy the demo's stack and take the cloud down
	@NINES=$(NINES) PATH="$(CURDIR)/$(CACHE)/bin:$$PATH" scripts/demo-down

.PHONY: test
test: packages terraform venv images ## Every test: unit, simulated, and end to end (as root)
	@PATH="$(CURDIR)/$(VENV)/bin:$(CURDIR)/$(CACHE)/bin:$$PATH" scripts/test

.PHONY: clean
clean: ## Remove what was built; images too
	rm -rf target $(VENV) $(CACHE)

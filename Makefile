# make demo, make test: everything else is done on the way.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

EPISODES ?=
SEED ?=
NAME ?=
ARGS ?=
BIN := .venv/bin

# A sourced ROS shell must not leak into the environment made here.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE

help:
	@echo 'make demo    install what is missing, then learn in simulation; Ctrl-C ends it with a summary'
	@echo '             EPISODES=200 SEED=1 NAME=mine ARGS="further arguments of lpds demo"'
	@echo 'make test    the same set-up, then the whole test suite; ARGS="-k contract"'
	@echo 'make setup   the set-up alone, into .venv; PYTHON=python3.12 to choose, EXTRAS=cpu,sim,ros for less'
	@echo 'make lint    ruff'
	@echo 'make clean   remove what was built; .venv and runs/ stay'

setup:
	@PYTHON='$(PYTHON)' EXTRAS='$(EXTRAS)' .ci/setup

demo: setup
	@$(BIN)/lpds demo $(if $(EPISODES),--episodes $(EPISODES)) $(if $(SEED),--seed $(SEED)) $(if $(NAME),--name '$(NAME)') $(ARGS)

test: setup
	@$(BIN)/python -m pytest $(ARGS)

lint: setup
	@$(BIN)/ruff check .

clean:
	rm -rf build install log dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

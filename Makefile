# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help ros-env build demo test floor parity lint bench bench-decode bench-pipeline bench-node fuzz \
	soak eval-demo train-demo clean

ENTER := source .ros_env/setup.bash
# Seen by test/fuzz/run_targets.py: FUZZ_SECONDS=300
# Seen by dev/demo/run.py: TASK=detect|segment|pose SOURCE=path FRAMES=300
export FUZZ_SECONDS FUZZ_SEED TASK SOURCE FRAMES WIDTH HEIGHT RATE

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

ros-env:  ## ROS 2 and every other need, in .ros_env/
	@dev/ros_env/setup.sh

build: ros-env  ## colcon build into install/
	@$(ENTER) && colcon build --packages-select rdk_yolo_ros

demo: ros-env  ## source and yolo node on a real ROS graph; demo_out/overlay.png
	@$(ENTER) && exec python3 dev/demo/run.py

test: build  ## the whole test suite
	@$(ENTER) && source install/setup.bash && python3 -m pytest $(PYTEST_ARGS)

floor: ros-env  ## the ROS-free tests on the oldest libraries that must work
	@dev/checks/floor.sh

parity: ros-env  ## our decoding against Ultralytics' own (installs torch)
	@dev/checks/parity.sh

lint: ros-env  ## ruff, mypy (also against Humble's rclpy), Python 3.10
	@dev/checks/lint.sh

bench: ros-env  ## every figure that README and docs quote
	@$(ENTER) && python3 -m benchmarks

bench-decode: ros-env  ## decoding over the number of objects; docs/decode_speed.md
	@$(ENTER) && python3 -m benchmarks.decode_bench --write

bench-pipeline: ros-env  ## the node at an accelerator's pace, beside the naive loop
	@$(ENTER) && python3 -m benchmarks.pipeline_bench

fuzz: ros-env  ## odd inputs of every kind for FUZZ_SECONDS=300 seconds in all
	@$(ENTER) && exec python3 test/fuzz/run_targets.py

bench-node: ros-env  ## one container against three processes; messages as bytes
	@$(ENTER) && python3 -m benchmarks.node_bench

soak: ros-env  ## the nodes for SOAK_MINUTES (10): does anything grow? docs/soak.md
	@$(ENTER) && python3 -m benchmarks.soak --minutes $${SOAK_MINUTES:-10} --write

eval-demo: ros-env  ## accuracy of the demo models on held-out scenes
	@$(ENTER) && python3 dev/demo_models/evaluate.py

train-demo:  ## train the demo models again (about 90 minutes on two cores)
	@dev/demo_models/train.sh

clean:  ## remove what build and demo made; the environments stay
	rm -rf build install log demo_out bench_out fuzz_out

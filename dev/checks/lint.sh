#!/usr/bin/env bash
# Style, types, Python 3.10 syntax, and the ROS Humble API for nodes/ and components/.
set -euo pipefail

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$checkout"
source .ros_env/setup.bash

humble=.type_env/humble
if [[ ! -d $humble/rclpy ]]; then
  # rclpy of Humble as sources: for the type checker alone, never imported.
  PIP_NO_CACHE_DIR=1 python3 -m pip install --quiet --disable-pip-version-check --no-deps \
    --target "$humble" rclpy-intellisense==1.2.0
fi
if [[ ! -d .type_env/vermin ]]; then
  PIP_NO_CACHE_DIR=1 python3 -m pip install --quiet --disable-pip-version-check --no-deps \
    --target .type_env/vermin vermin==1.9.2
fi

failed=0
check() {
  local name=$1
  shift
  printf '%s: ' "$name"
  if "$@"; then :; else failed=1; fi
}
check ruff ruff check .
check mypy mypy
# Against Humble's rclpy and nothing that is installed here: every keyword and method that Humble
# lacks is an error.
check humble env -u PYTHONPATH MYPYPATH="$humble" .ros_env/bin/mypy --no-site-packages \
  --cache-dir .mypy_cache/humble rdk_yolo_ros/nodes rdk_yolo_ros/components
# str.decode: pycocotools' bytes look like Python 2's text to it.
check vermin env PYTHONPATH=.type_env/vermin python3 .type_env/vermin/bin/vermin --target=3.10- --violations \
  --no-tips --eval-annotations --exclude str.decode rdk_yolo_ros launch dev test benchmarks setup.py
exit "$failed"

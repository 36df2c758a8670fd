#!/usr/bin/env bash
# Runs the tests against Ultralytics' own post-processing in an environment of their own.
# Ultralytics is AGPL-3.0: a tool for this comparison, never a part of the package.
set -euo pipefail

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$checkout"
unset PYTHONPATH
# This file is its own stamp: what it installs is what the environment has.
if ! cmp -s dev/checks/parity.sh .parity_env/ready; then
  .ros_env/bin/python3 -m venv --clear .parity_env
  install() {
    PIP_NO_CACHE_DIR=1 .parity_env/bin/python -m pip install --quiet \
      --disable-pip-version-check "$@"
  }
  install torch==2.13.0
  # Without what it brings along: torchvision above all, which a stand-in replaces.
  install --no-deps ultralytics==8.4.190 ultralytics-thop==2.2.3
  install 'opencv-python-headless<5' pillow matplotlib requests scipy psutil polars PyYAML tqdm \
    pytest pytest-timeout hypothesis
  cp dev/checks/parity.sh .parity_env/ready
fi
exec .parity_env/bin/python -m pytest -p no:cacheprovider test/parity "$@"

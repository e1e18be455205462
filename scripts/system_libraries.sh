#!/bin/sh
# Look for what Qt and OpenGL need from the system. What is missing is installed where this is root on
# Debian or Ubuntu; elsewhere the one line to run is printed. Changes nothing where nothing is missing.
set -eu

[ "$(uname -s)" = Linux ] || exit 0
PATH="$PATH:/usr/sbin:/sbin" # ldconfig, for users whose path leaves it out
python="${1:-python3}"

# library -> Debian package. Libraries, not packages, are asked for: names of packages differ between releases.
libraries="
libGL.so.1 libgl1
libEGL.so.1 libegl1
libglib-2.0.so.0 libglib2.0-0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-shape.so.0 libxcb-shape0
"

missing() {
    known="$(ldconfig -p 2>/dev/null || echo "$libraries")" # no such list here: nothing to compare with
    echo "$libraries" | while read -r library package; do
        case "$known" in *"$library"*) ;; *) echo "$package" ;; esac
    done
    "$python" -c "import ensurepip, venv" 2>/dev/null || echo python3-venv
    if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then # a virtual display; xvfb-run needs xauth
        command -v xvfb-run >/dev/null || echo xvfb
        command -v xauth >/dev/null || echo xauth
    fi
}

packages="$(missing | tr '\n' ' ')"
[ -n "$packages" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # shellcheck disable=SC2086 # one word per package
    apt-get install -q -y --no-install-recommends $packages
else
    echo "This machine lacks system libraries that napari's window needs. On Debian or Ubuntu run once:"
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $packages"
    echo "and repeat the command. (On other systems: the packages of the same purpose.)"
    exit 1
fi >&2

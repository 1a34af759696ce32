#!/bin/sh
# Prints the directory of `prometheus` and `promtool`: those that are installed, else Debian's, taken out of its
# package into .tools. Nothing is installed, so it needs no root and starts no service.
set -eu
cd "$(dirname "$0")/.."
place="$PWD/.tools/prometheus"

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    dirname "$(command -v promtool)"
    exit 0
fi
if [ ! -x "$place/usr/bin/promtool" ]; then
    command -v apt-get >/dev/null || { echo "install prometheus: there is no apt-get to take it from" >&2; exit 1; }
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    # apt reads the package as a user of its own.
    chmod 755 "$fresh"
    download() { (cd "$fresh" && apt-get -qq -o APT::Sandbox::User=root download prometheus) >&2; }
    # On a new machine the lists of packages are not there yet; only root can get them.
    download 2>/dev/null || { [ "$(id -u)" = 0 ] && apt-get -qq update >&2 && download; }
    mkdir -p .tools
    dpkg-deb -x "$fresh"/prometheus_*.deb "$fresh/tree"
    rm -rf "$place"
    mv "$fresh/tree" "$place"
fi
echo "$place/usr/bin"

#!/bin/sh
# Prints the directory tree of PgBouncer and its libraries: Debian's, taken out of its packages into .tools. Nothing is
# installed, so it needs no root and starts no service.
set -eu
cd "$(dirname "$0")/.."
place="$PWD/.tools/pgbouncer"

if [ ! -x "$place/usr/sbin/pgbouncer" ]; then
    command -v apt-get >/dev/null || { echo "there is no apt-get to take pgbouncer from" >&2; exit 1; }
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    # apt reads the packages as a user of its own.
    chmod 755 "$fresh"
    libraries() { apt-cache depends pgbouncer | sed -n 's/^ *Depends: *\(libc-ares[^ ]*\|libevent[^ ]*\)$/\1/p'; }
    download() { (cd "$fresh" && apt-get -qq -o APT::Sandbox::User=root download pgbouncer $(libraries)) >&2; }
    # On a new machine the lists of packages are not there yet; only root can get them.
    download 2>/dev/null || { [ "$(id -u)" = 0 ] && apt-get -qq update >&2 && download; }
    mkdir -p .tools
    for package in "$fresh"/*.deb; do dpkg-deb -x "$package" "$fresh/tree"; done
    rm -rf "$place"
    mv "$fresh/tree" "$place"
    chmod -R a+rX "$place"
fi
echo "$place"

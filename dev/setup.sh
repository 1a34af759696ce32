#!/bin/sh
# Creates .venv or brings it up to date with a lock file; prints nothing if there is nothing to do.
# dev/setup.sh run: what `make run` needs. dev/setup.sh dev: with tests and checks; that also serves `make run`.
# PYTHON=/path/to/python3 chooses the interpreter; pip takes its index and cache from its own configuration.
set -eu
cd "$(dirname "$0")/.."
set_name=${1:-dev}
lock=requirements/$set_name.lock
stamp=.venv/installed.lock
suits='import sys; sys.exit(sys.version_info < (3, 11))'

usable() { "$1" -c "$suits" 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Paraqueue needs Python 3.11 or newer; none of these is: ${PYTHON:-python3.11 python3 python3.12 python3.13}. Set PYTHON=/path/to/python3" >&2
    return 1
}

# The stamp is a copy of what was installed. It is written last, so an interrupted installation is repeated.
installed() { cmp -s "requirements/$1.lock" "$stamp"; }
if [ -x .venv/bin/python ] && .venv/bin/python -c "$suits" 2>/dev/null && { installed "$set_name" || installed dev; }; then
    exit 0
fi
if ! { [ -x .venv/bin/python ] && .venv/bin/python -c "$suits; import pip" 2>/dev/null; }; then
    python=$(find_python)
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$python has no venv module; install it (on Debian and Ubuntu: the package python3-venv)" >&2
        exit 1
    fi
    echo "Creating .venv with $("$python" -V) …"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
need_mb=$([ "$set_name" = run ] && echo 2000 || echo 4000)
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
have_mb=$(du -sm .venv | cut -f1)
if [ $((free_mb + have_mb)) -lt "$need_mb" ]; then
    echo "Installing needs about $need_mb MB of disk space, and only $free_mb MB are free in $(pwd)" >&2
    exit 1
fi
echo "Installing $(grep -c '^[a-zA-Z]' "$lock") packages into .venv (about $need_mb MB, several GB more if torch brings CUDA; a few minutes the first time) …"
install() {
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-compile "$@" || {
        echo "The installation failed (see above). Run the same command again to continue" >&2
        exit 1
    }
}
# torch with its dependencies: its build on PyPI needs CUDA packages that the lock file cannot name for every machine.
# Everything else as it is in the lock file, which leaves out what FunASR requires but we do not use.
install --constraint "$lock" "$(grep -E '^torch==' "$lock")"
install --no-deps -r "$lock"
cp "$lock" "$stamp"

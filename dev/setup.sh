#!/bin/sh
# Makes .venv, or brings it up to date with the lock file; says nothing when there is nothing to do.
# PYTHON=/path/to/python3 chooses the interpreter; pip takes its index and cache from its own configuration.
set -eu
cd "$(dirname "$0")/.."
lock=requirements/dev.lock
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
    echo "Paraqueue needs Python 3.11 or newer; none of these is: ${PYTHON:-python3.11 python3 python3.12 python3.13}. Say where it is with PYTHON=/path/to/python3" >&2
    return 1
}

# The stamp is a copy of what was installed; it is written last, so an interrupted installation is taken up again.
if [ -x .venv/bin/python ] && .venv/bin/python -c "$suits" 2>/dev/null && cmp -s "$lock" "$stamp"; then
    exit 0
fi
if ! { [ -x .venv/bin/python ] && .venv/bin/python -c "$suits; import pip" 2>/dev/null; }; then
    python=$(find_python)
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$python has no venv module; install it (on Debian and Ubuntu: the package python3-venv)" >&2
        exit 1
    fi
    echo "Making .venv with $("$python" -V) …"
    "$python" -m venv --clear .venv
fi
rm -f "$stamp"
echo "Installing $(grep -c '^[a-zA-Z]' "$lock") packages into .venv (some minutes the first time) …"
if ! .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input -r "$lock"; then
    echo "The installation did not finish (see above); run the same command again to go on" >&2
    exit 1
fi
cp "$lock" "$stamp"

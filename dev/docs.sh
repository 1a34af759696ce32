#!/bin/sh
# Builds the documentation site; arguments go to mkdocs. Its packages (requirements/docs.lock) are in .venv-docs, because
# no other command needs them.
set -eu
cd "$(dirname "$0")/.."
lock=requirements/docs.lock
stamp=.venv-docs/installed.lock

if ! { [ -x .venv-docs/bin/python ] && cmp -s "$lock" "$stamp"; }; then
    python=${PYTHON:-$(command -v python3.11 || command -v python3)}
    echo "Installing $(grep -c '^[a-zA-Z]' "$lock") packages into .venv-docs …"
    "$python" -m venv --clear .venv-docs
    .venv-docs/bin/python -m pip install -qq --disable-pip-version-check --no-input -r "$lock"
    cp "$lock" "$stamp"
fi
# Strict: a broken link, an unknown anchor or a page that the navigation lacks is an error.
NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --quiet --strict "$@"
echo "The documentation is at site/index.html"

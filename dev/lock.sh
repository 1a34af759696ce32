#!/bin/sh
# Pins everything that pyproject.toml asks for into requirements/*.lock: dev.lock for tests and checks, and from its
# versions run.lock for `make run` and a file for each image.
# `dev/lock.sh --upgrade` takes the newest versions; without it what is pinned already stays where it can.
set -eu
cd "$(dirname "$0")/.."
mkdir -p requirements

compile() {
    name=$1
    input=$2
    shift 2
    .venv/bin/python -m piptools compile "$input" --quiet --allow-unsafe --strip-extras --no-header \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file "requirements/$name.lock" "$@"
    # The local version (+cpu) belongs to the machine that locked; which build of the release is installed, and
    # whether CUDA comes with it, is for the machine that installs.
    sed -i -E 's/^(torch==[0-9.]+)\+[a-z0-9.]+/\1/' "requirements/$name.lock"
    # redis needs it on the Python of Debian 12, and pip-compile looks at its own Python only.
    sed -i -E '/^async-timeout==/d' "requirements/$name.lock"
    if grep -q '^redis==' "requirements/$name.lock"; then
        echo 'async-timeout==5.0.1 ; python_full_version < "3.11.3"' >> "requirements/$name.lock"
    fi
    if grep -nE '^(nvidia-|triton|cuda-)|://|^-' "requirements/$name.lock"; then
        echo "requirements/$name.lock holds what belongs to this machine (above)" >&2
        exit 1
    fi
}

compile dev pyproject.toml --extra api --extra worker --extra flower --extra dev --extra test "$@"
compile run pyproject.toml --extra api --extra worker --extra flower --extra dev --constraint requirements/dev.lock
compile worker pyproject.toml --extra worker --extra api --constraint requirements/dev.lock
compile api pyproject.toml --extra api --constraint requirements/dev.lock
compile flower pyproject.toml --extra flower --extra api --constraint requirements/dev.lock
.venv/bin/python -m dev.unused_packages requirements/run.lock requirements/worker.lock
# An environment of its own (bench/peers.py): funasr-onnx needs an older numpy than ours, so nothing binds the two.
compile bench pyproject.toml --extra bench
# Another one (dev/docs.sh).
compile docs requirements/docs.in
# Another one, of a test (tests/e2e/test_generated_client.py).
compile openapi requirements/openapi.in

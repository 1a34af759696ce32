#!/bin/sh
# A Chromium for the console's tests, where one can be had without asking: as root on Debian or Ubuntu. Anywhere else,
# and where the installation fails, those tests skip and say what is missing; nothing else depends on it.
set -u
packages="chromium fonts-noto-cjk"

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium here: the console's tests will skip (on Debian and Ubuntu: apt-get install -y $packages)"
    exit 0
fi
echo "Installing $packages for the console's tests (apt-get) …"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# The lists of a fresh image are empty or old. Ubuntu's chromium is a snap, which does not work everywhere.
if ! { apt-get update && apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    tail -n 3 "$log"
    echo "Chromium could not be installed: the console's tests will skip"
fi
rm -f "$log"
exit 0

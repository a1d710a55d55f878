#!/usr/bin/env bash
# The tests in a real browser: run.sh PYTHON [pytest's arguments].  On Debian, root gets it from apt where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
shift

skip() {
    echo "############################################################################" >&2
    echo "## SKIPPED: nothing was tested in a real browser: $*" >&2
    echo "############################################################################" >&2
    exit 0
}

if ! { command -v chromium && command -v chromedriver; } > /dev/null; then
    command -v apt-get > /dev/null || skip "Chromium is not installed, and this is no Debian"
    [ "$(id -u)" = 0 ] || skip "Chromium is not installed; apt install chromium chromium-driver"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends chromium chromium-driver; } \
        > /dev/null || skip "apt does not have Chromium"
fi
export DEBURR_REQUIRE_BROWSER=1
"$PYTHON" -m pytest tests/browser "$@"

#!/usr/bin/env bash
# The tests on real CloudCompare: run.sh PYTHON [pytest's arguments].  On Debian, root gets it from apt where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
shift

skip() {
    echo "############################################################################" >&2
    echo "## SKIPPED: nothing was tested on real CloudCompare: $*" >&2
    echo "############################################################################" >&2
    exit 0
}

if ! command -v CloudCompare > /dev/null; then
    command -v apt-get > /dev/null || skip "it is not installed, and this is no Debian"
    [ "$(id -u)" = 0 ] || skip "it is not installed; apt install cloudcompare"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends cloudcompare; } > /dev/null \
        || skip "apt does not have it"
fi
export QT_QPA_PLATFORM=offscreen
export DEBURR_REQUIRE_CLOUDCOMPARE=1
"$PYTHON" -m pytest tests/cloudcompare "$@"

#!/usr/bin/env bash
# The tests in a real browser: run.sh PYTHON [pytest's arguments].  On Debian, root gets it from apt where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
shift
. tests/support/bring.sh

bring Chromium "chromium chromedriver" "chromium chromium-driver"
export DEBURR_REQUIRE_BROWSER=1
"$PYTHON" -m pytest tests/browser "$@"

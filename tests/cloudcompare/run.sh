#!/usr/bin/env bash
# The tests on real CloudCompare: run.sh PYTHON [pytest's arguments].  On Debian, root gets it from apt where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
shift
. tests/support/bring.sh

bring CloudCompare CloudCompare cloudcompare
export QT_QPA_PLATFORM=offscreen
export DEBURR_REQUIRE_CLOUDCOMPARE=1
"$PYTHON" -m pytest tests/cloudcompare "$@"

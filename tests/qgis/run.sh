#!/usr/bin/env bash
# The plugin in real QGIS: run.sh PYTHON [pytest's arguments].  On Debian, root gets QGIS from apt where it is missing: 1.8 GB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
shift
. tests/support/bring.sh

bring QGIS "qgis_process.bin Xvfb" "qgis python3-qgis xvfb"
export DEBURR_REQUIRE_QGIS=1
"$PYTHON" -m pytest tests/qgis "$@"

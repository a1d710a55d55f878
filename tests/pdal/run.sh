#!/usr/bin/env bash
# The tests on real PDAL: run.sh PYTHON VENV.  VENV has deburr and numpy 1.26; PDAL is kept in .pdal.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
PYTHON=$1
VENV=$(realpath "$2")
shift 2

code=0
tests/pdal/real_pdal.sh .pdal "$PYTHON" || code=$?
if [ "$code" = 75 ]; then
    echo "############################################################################" >&2
    echo "## SKIPPED: nothing was tested on real PDAL; the line above says why.      ##" >&2
    echo "############################################################################" >&2
    exit 0
fi
[ "$code" = 0 ] || exit "$code"

"$VENV/bin/python" -m pip install --disable-pip-version-check -q --no-index --no-deps .pdal/wheels/*.whl
. .pdal/env
export PATH=$VENV/bin:$PATH
PDAL_DRIVER_PATH=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/pdal
export PDAL_DRIVER_PATH
export DEBURR_REQUIRE_PDAL=1
echo "real PDAL: $(pdal --version | grep pdal)"
"$VENV/bin/python" -m pytest tests/pdal "$@"

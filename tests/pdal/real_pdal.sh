#!/usr/bin/env bash
# Fetches a real PDAL for the tests: Debian 11's 2.2 with filters.python and the Python bindings, built for PYTHON.
#
#   real_pdal.sh FOLDER PYTHON      leaves FOLDER/prefix, FOLDER/wheels, FOLDER/env; does nothing if they are there
#
# Nothing is installed into the system, but a compiler and Python's headers where they are missing and this is root.
# Exit code 75: this machine cannot have that PDAL (no Debian, release gone, no compiler); the last line says why.
set -euo pipefail

FOLDER=$(realpath -m "${1:?folder}")
PYTHON=$(command -v "${2:?python}")
RELEASE=bullseye
PLUGINS=pdal-plugins==1.0.2
BINDINGS=pdal==3.1.2
NUMPY='numpy==1.26.*'

cannot() {
    echo "real PDAL: $*" >&2
    exit 75
}

# What decides the outcome: this script, and the Python that it is built for.
KEY="$(cksum < "${BASH_SOURCE[0]}") $("$PYTHON" -c 'import sys; print(sys.version, sys.base_prefix)')"
if [ "$(cat "$FOLDER/key" 2> /dev/null)" = "$KEY" ]; then
    exit 0
fi
rm -rf "$FOLDER"
mkdir -p "$FOLDER"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

INCLUDE=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
LIBDIR=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')

compiler() {
    command -v g++ > /dev/null && command -v make > /dev/null && [ -f "$INCLUDE/Python.h" ]
}
for tool in apt-get dpkg-deb; do
    command -v $tool > /dev/null || cannot "needs $tool, so a Debian; use a machine with Debian 12"
done
if ! compiler; then
    [ "$(id -u)" = 0 ] || cannot "needs a compiler and Python's headers; apt install g++ make python3.11-dev"
    apt-get -qq update && apt-get -qq -y install g++ make python3.11-dev > /dev/null
    compiler || cannot "needs $INCLUDE/Python.h; install the headers of $PYTHON"
fi
"$PYTHON" -c 'import ctypes, sysconfig; ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' 2> /dev/null \
    || LD_LIBRARY_PATH=$LIBDIR "$PYTHON" -c 'import ctypes, sysconfig; ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' 2> /dev/null \
    || cannot "$PYTHON has no libpython as a shared library, which PDAL loads; use one that has"

# apt with lists, status and cache of its own: as if Debian 11 were to be installed into an empty machine.
MIRROR=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | awk '$1 ~ /^[a-z]+$/ {print $2; exit}')
[ -n "$MIRROR" ] || cannot "apt names no mirror of Debian; run 'apt-get update'"
mkdir -p "$WORK"/lists/partial "$WORK"/archives/partial
: > "$WORK/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $RELEASE main" > "$WORK/sources.list"
APT=(apt-get -qq
    -o Dir::Etc::sourcelist="$WORK/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o Dir::State="$WORK" -o Dir::State::lists="$WORK/lists" -o Dir::State::status="$WORK/status"
    -o Dir::Cache="$WORK" -o Dir::Cache::archives="$WORK/archives"
    -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Debug::NoLocking=1)
"${APT[@]}" update || cannot "the mirror $MIRROR does not answer for Debian's $RELEASE; is that release still there?"
"${APT[@]}" -y --download-only install pdal || cannot "the mirror $MIRROR has no complete pdal of Debian's $RELEASE"
(cd "$WORK/archives" && "${APT[@]}" download libpdal-dev) || cannot "the mirror $MIRROR has no libpdal-dev of $RELEASE"

# The C and C++ libraries, and what Python itself loads, stay those of this machine.
PREFIX=$FOLDER/prefix
mkdir -p "$PREFIX"
for package in "$WORK"/archives/*.deb; do
    name=$(basename "$package")
    case ${name%%_*} in
        libc6 | libgcc-s1 | libstdc++6 | gcc-*-base | libcrypt1 | zlib1g | libbz2-1.0 | liblzma5 | libsqlite3-0 | libexpat1 | libuuid1) ;;
        lib* | odbcinst1* | pdal | proj-data | gdal-data) dpkg-deb -x "$package" "$PREFIX" ;;
    esac
done

LIBS=$PREFIX/usr/lib
for folder in "$LIBS"/*-linux-gnu "$LIBS"/*-linux-gnu/blas "$LIBS"/*-linux-gnu/lapack "$PREFIX"/lib/*-linux-gnu "$LIBDIR"; do
    LIBS=$LIBS:$folder
done

# The bindings are compiled in an environment that is thrown away; what stays are two wheels.
"$PYTHON" -m venv "$WORK/build"
PIP=("$WORK/build/bin/python" -m pip --disable-pip-version-check -q)
"${PIP[@]}" install "$NUMPY" 'scikit-build<0.18' 'cmake<4' ninja wheel 'setuptools<70' 'pybind11[global]<2.12'
export PDAL_DIR=$PREFIX/usr/lib/cmake/PDAL
pybind11_DIR=$("$WORK/build/bin/python" -m pybind11 --cmakedir)
export pybind11_DIR
LD_LIBRARY_PATH=$LIBS PATH=$WORK/build/bin:$PATH "${PIP[@]}" wheel --no-cache-dir --no-build-isolation --no-deps \
    --wheel-dir "$FOLDER/wheels" "$PLUGINS" "$BINDINGS"

cat > "$FOLDER/env" << ENV
export PATH=$PREFIX/usr/bin:\$PATH
export LD_LIBRARY_PATH=$LIBS
export PROJ_LIB=$PREFIX/usr/share/proj GDAL_DATA=$PREFIX/usr/share/gdal
ENV
echo "$KEY" > "$FOLDER/key"

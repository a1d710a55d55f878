# Sourced by the tests on real programs: bring WHAT "PROGRAMS" "PACKAGES".  Where root's apt can bring what is missing it does; else
# it is said loudly that nothing is tested, and the script ends well.
skip() {
    echo "############################################################################" >&2
    echo "## SKIPPED: nothing was tested on real $*" >&2
    echo "############################################################################" >&2
    exit 0
}

bring() {
    local what=$1 programs=$2 packages=$3
    # Lists of words.
    # shellcheck disable=SC2086
    if ! (for one in $programs; do command -v "$one" || exit 1; done) > /dev/null; then
        command -v apt-get > /dev/null || skip "$what: it is not installed, and this is no Debian"
        [ "$(id -u)" = 0 ] || skip "$what: it is not installed; apt install $packages"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $packages; } > /dev/null \
            || skip "$what: apt does not have it"
    fi
}

# Sourced by scripts/demo and scripts/test: finds Python, makes the virtual environment, installs
# what requirements.lock names (by hash) and volstrat itself. Quick where all that is done already.
#
# Sets:   root   the checkout
#         venv   the environment: .venv in the checkout, or $VOLSTRAT_VENV
# Leaves: the environment's programs first on PATH

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${VOLSTRAT_VENV:-$root/.venv}"

say() { printf '%s\n' "$*" >&2; }
give_up() { say "$@"; exit 1; }

# Print the first Python of at least 3.11 that can make environments, wherever on PATH it is.
find_python() {
    local name candidate
    for name in python3.13 python3.12 python3.11 python3 python; do
        while IFS= read -r candidate; do
            if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
                >/dev/null 2>&1; then
                printf '%s\n' "$candidate"
                return 0
            fi
        done < <(type -aP "$name")
    done
    return 1
}

# Install Python and its venv module where this is Debian or Ubuntu and we may.
install_python() {
    local as_root=() package
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; } || return 1
        as_root=(sudo)
    fi
    say "Installing Python's venv module with apt-get ..."
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || true
    for package in python3-venv python3.13-venv python3.12-venv python3.11-venv; do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 &&
            hash -r && find_python >/dev/null; then
            return 0
        fi
    done
    return 1
}

make_environment() {
    local python
    if ! python="$(find_python)"; then
        install_python && python="$(find_python)" || give_up \
            "volstrat needs Python 3.11 or newer with its venv module; this machine has" \
            "$(python3 --version 2>/dev/null || echo 'no Python 3')." \
            "Install it (Debian 12, Ubuntu 24.04 or later, as root: apt-get install python3-venv), then run this again."
    fi
    if [ -d "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
        give_up "$venv is there and is no virtual environment; name another folder in VOLSTRAT_VENV."
    fi
    say "Making $venv with $("$python" --version) (once; this takes a minute or two) ..."
    "$python" -m venv --clear "$venv" || give_up "$python cannot make $venv."
}

install_packages() {
    local stamp wanted
    stamp="$venv/.volstrat-installed"
    wanted="$(cat "$root/requirements.lock" "$root/pyproject.toml" | sha256sum) $root"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
    say "Installing the packages of requirements.lock ..."
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --require-hashes --requirement "$root/requirements.lock" ||
        give_up "pip could not install the packages of requirements.lock; its own message stands above." \
            "They come from the package index that pip is set up to use."
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation --editable "$root" || give_up "pip could not install volstrat itself."
    printf '%s\n' "$wanted" >"$stamp"
}

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    make_environment
fi
install_packages
PATH="$venv/bin:$PATH"

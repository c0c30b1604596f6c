#!/usr/bin/env bash
# Installs what the build needs, builds llmgen, fetches the default model and generates text with it.
# Usage: tools/quickstart.sh [options of llmgen]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/packages.sh"

need_packages "${build_packages[@]}"
build=$root/build/release
[ -f "$build/build.ninja" ] || cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLM_BUILD_TESTS=OFF >/dev/null
echo "building llmgen"
cmake --build "$build" --target llmgen
bash "$root/tools/fetch_model.sh"

model=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [ $# -eq 0 ]; then
  set -- --chat -p "Write a short poem about a lighthouse." -n 120
fi
echo "\$ build/release/tools/llmgen -m models/$(basename "$model") $*"
exec "$build/tools/llmgen" -m "$model" "$@"

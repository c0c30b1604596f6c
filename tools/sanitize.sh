#!/usr/bin/env bash
# The tests under sanitizers: address and undefined behaviour for all but benchmarks, thread for the engine.
# Usage: tools/sanitize.sh [address|thread]   (both by default)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/packages.sh
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CTEST_OUTPUT_ON_FAILURE=1
need_packages "${build_packages[@]}" "${test_packages[@]}"
bash tools/fetch_model.sh
export LLM_TEST_MODEL=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf LLM_TEST_SCALE=small

configure() { cmake -S . -B "build/$1" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_WERROR=ON "-DLLM_SANITIZE=$2" >/dev/null; }
if [ "${1:-address}" = address ]; then
  configure asan address,undefined
  cmake --build build/asan -j "$(nproc)"
  ctest --test-dir build/asan -j "$(nproc)" -LE release_only
fi
if [ "${1:-thread}" = thread ]; then
  configure tsan thread
  cmake --build build/tsan -j "$(nproc)" --target unit_base unit_engine unit_api
  ctest --test-dir build/tsan -j "$(nproc)" -R '^unit_(base|engine|api)$'
fi

#!/usr/bin/env bash
# Installs what the tests need, checks the format, builds with warnings as errors, runs all tests of a release build
# through ctest, and clang-tidy. More stages: `alone` compiles each file alone, `address` and `thread` run the tests again
# under sanitizers: address and undefined behaviour for all but real models and timings, thread for the engine, the
# library and batches.
# Usage: tools/test.sh [STAGE ...]   of: format release lint alone address thread   (the first three by default)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/packages.sh
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CTEST_OUTPUT_ON_FAILURE=1
export LLM_TEST_MODEL=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf
jobs=$(nproc)
stages=("$@")
[ $# -gt 0 ] || stages=(format release lint)

say() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

configure() {  # NAME OPTION ...: build/NAME
  local name=$1
  shift
  cmake -S . -B "build/$name" -G Ninja -DLLM_WERROR=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@" >/dev/null
}

check_format() {
  find include src tests tools -path tests/data -prune -o -type f -name '*.[chi][pn][pl]' -print -o -type f -name '*.h' -print |
    xargs clang-format --dry-run --Werror
}

check_release() {
  configure test -DCMAKE_BUILD_TYPE=Release
  cmake --build build/test -j "$jobs"
  ctest --test-dir build/test -j "$jobs"
}

check_lint() {
  configure test -DCMAKE_BUILD_TYPE=Release
  bash tools/lint.sh build/test
}

check_alone() {
  configure alone -DCMAKE_BUILD_TYPE=Debug -DCMAKE_UNITY_BUILD=OFF
  python3 tools/compile_alone.py build/alone
}

# Allocations that are too large are refused by the code under test, as without sanitizers.
check_address() {
  configure asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_SANITIZE=address,undefined
  cmake --build build/asan -j "$jobs"
  ASAN_OPTIONS=allocator_may_return_null=1 ctest --test-dir build/asan -j "$jobs" -LE release_only
}

check_thread() {
  local tests=(unit_base unit_engine unit_api property_engine property_engine_independence)
  configure tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_SANITIZE=thread
  cmake --build build/tsan -j "$jobs" --target "${tests[@]}" llmgen
  TSAN_OPTIONS=allocator_may_return_null=1 ctest --test-dir build/tsan -j "$jobs" -R "^($(IFS='|'; echo "${tests[*]}")|cli_test_batch.*)\$"
}

say "packages"
need_packages "${build_packages[@]}" "${test_packages[@]}"
say "models"
bash tools/fetch_model.sh smollm2 minilm
for stage in "${stages[@]}"; do
  say "$stage"
  "check_$stage"
done
say "done"

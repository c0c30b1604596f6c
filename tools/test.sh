#!/usr/bin/env bash
# Installs what the tests need and runs the stages:
#   format   clang-format
#   release  everything built with warnings as errors, all tests through ctest
#   lint     clang-tidy
#   memory   address and undefined behaviour sanitizers: what reads files and text of others, and the engine
#   races    thread sanitizer: the engine
# and, where they are named, those that take longer:
#   alone    each file compiled alone
#   address  as memory, for all tests but real models and timings, the kernels instrumented too
#   thread   as races, for the engine, the library and batches, the kernels instrumented too
# Usage: tools/test.sh [STAGE ...]   (the first five by default)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/packages.sh
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CTEST_OUTPUT_ON_FAILURE=1
export LLM_TEST_MODEL=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf
jobs=$(nproc)
stages=("$@")
[ $# -gt 0 ] || stages=(format release lint memory races)

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

any_of() { (IFS='|'; printf '^(%s)$' "$*"); }  # a regular expression

# Builds programs under a sanitizer and runs tests. The kernels are the release build's, which the compiler cache has.
check_quickly() {  # NAME SANITIZER "PROGRAM ..." TESTS
  configure "$1" -DCMAKE_BUILD_TYPE=Release -DLLM_SANITIZE="$2" -DLLM_SANITIZE_KERNELS=OFF
  # shellcheck disable=SC2086
  cmake --build "build/$1" -j "$jobs" --target $3
  ctest --test-dir "build/$1" -j "$jobs" -R "$4" --no-tests=error
}

# Allocations that are too large are refused by the code under test, as without sanitizers.
export ASAN_OPTIONS=allocator_may_return_null=1 TSAN_OPTIONS=allocator_may_return_null=1

check_memory() {
  local tests=(unit_{base,formats,tokenizer,chat,sampling,engine}
    property_{gguf_mutation,safetensors_mutation,config_mutation,tokenizer,hostile,engine})
  check_quickly memory address,undefined "${tests[*]} fuzz_programs" "$(any_of "${tests[@]}" 'fuzz_corpus_.*')"
}

check_races() {
  local tests=(unit_base unit_engine property_engine)
  check_quickly races thread "${tests[*]}" "$(any_of "${tests[@]}")"
}

check_address() {
  configure asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_SANITIZE=address,undefined
  cmake --build build/asan -j "$jobs"
  ctest --test-dir build/asan -j "$jobs" -LE release_only
}

check_thread() {
  local tests=(unit_base unit_engine unit_api property_engine property_engine_independence)
  configure tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_SANITIZE=thread
  cmake --build build/tsan -j "$jobs" --target "${tests[@]}" llmgen
  ctest --test-dir build/tsan -j "$jobs" -R "$(any_of "${tests[@]}" 'cli_test_batch.*')"
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

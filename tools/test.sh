#!/usr/bin/env bash
# Installs what the tests need, builds, and runs everything: the tests, sanitizer builds, format and lint checks.
# Usage: tools/test.sh [--quick]   (--quick: the release tests alone)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/packages.sh
started=$SECONDS
stage() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

stage "packages"
need_packages "${build_packages[@]}" libgtest-dev libgmock-dev libbenchmark-dev zlib1g-dev clang-format clang-tidy ccache \
  jq parallel miller python3 tmux
jobs=$(nproc)
export CTEST_OUTPUT_ON_FAILURE=1

stage "model"
bash tools/fetch_model.sh
export LLM_TEST_MODEL=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf

stage "format"
git ls-files '*.cpp' '*.hpp' '*.h' '*.inl' | grep -v '^tests/data/' | xargs clang-format --dry-run --Werror

stage "release build"
cmake -S . -B build/test -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLM_WERROR=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
cmake --build build/test -j "$jobs"
stage "release tests"
ctest --test-dir build/test -j "$jobs"
[ "${1:-}" = --quick ] && exit 0

stage "lint"
bash tools/lint.sh build/test

stage "address and undefined behaviour sanitizers"
cmake -S . -B build/asan -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_WERROR=ON -DLLM_SANITIZE=address,undefined >/dev/null
cmake --build build/asan -j "$jobs"
LLM_TEST_SCALE=small ctest --test-dir build/asan -j "$jobs" -LE 'release_only'

stage "thread sanitizer"
cmake -S . -B build/tsan -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLLM_WERROR=ON -DLLM_SANITIZE=thread >/dev/null
cmake --build build/tsan -j "$jobs" --target unit_base unit_engine unit_api property_engine
LLM_TEST_SCALE=small ctest --test-dir build/tsan -j "$jobs" -R '^(unit_base|unit_engine|unit_api|property_engine)$'

stage "done"

#!/usr/bin/env bash
# Installs what the tests need, builds with warnings as errors, checks the format, and runs everything through ctest.
# tools/sanitize.sh repeats the tests under the sanitizers, tools/lint.sh runs clang-tidy.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/packages.sh
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1 CTEST_OUTPUT_ON_FAILURE=1
started=$SECONDS
stage() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

stage "packages"
need_packages "${build_packages[@]}" "${test_packages[@]}"
stage "model"
bash tools/fetch_model.sh
export LLM_TEST_MODEL=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf

stage "format"
git ls-files '*.cpp' '*.hpp' '*.h' '*.inl' | grep -v '^tests/data/' | xargs clang-format --dry-run --Werror

stage "build"
cmake -S . -B build/test -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLM_WERROR=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
cmake --build build/test -j "$(nproc)"
stage "tests"
ctest --test-dir build/test -j "$(nproc)"
stage "done"

#!/usr/bin/env bash
# clang-tidy over the library, the program and the examples. Usage: tools/lint.sh BUILD_DIR
# BUILD_DIR is configured with CMAKE_UNITY_BUILD=ON, the default: what the files of a unit include is analysed once.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build=${1:?usage: tools/lint.sh BUILD_DIR}
build=$(cd "$build" && pwd)
units=$build/lint
rm -rf "$units"
mkdir -p "$units"

# The families are no part of their room's unit: each has its own layer(), norm() and finish(). One unit of their own
# includes each inside a namespace that sees the real one.
families=(src/model/families/*.cpp)
{
  grep -h '^#include' "${families[@]}" | sort -u
  for file in "${families[@]}"; do
    name=file_$(basename "$file" .cpp)
    printf 'namespace %s {\nnamespace llm::model {\nusing namespace ::llm::model;\n}\nnamespace llm {\nusing namespace ::llm;\n}\n' "$name"
    printf '// NOLINTNEXTLINE(bugprone-suspicious-include)\n#include "%s"\n}\n' "$root/$file"
  done
} >"$units/families.cpp"

# The compile commands of the units, and that of one family for the families' unit.
python3 - "$build" "$units" "$root" <<'PYTHON'
import json, pathlib, re, sys
build, units, root = sys.argv[1:]
entries, family = {}, None
for entry in json.loads((pathlib.Path(build) / "compile_commands.json").read_text()):
    file = entry["file"]
    # What only g++ knows: its flags and its precompiled headers.
    command = re.sub(r" -include \S*cmake_pch\.hxx", "", entry["command"])
    entry["command"] = " ".join(w for w in command.split() if not w.startswith(("-fsanitize", "-fno-sanitize", "-fpch", "-Winvalid-pch")))
    if "/src/model/families/" in file:
        family = entry
    elif file.startswith((f"{root}/src/", f"{root}/tools/")) or "/Unity/" in file and not "/tests/" in file:
        entries[file] = entry
unit = f"{units}/families.cpp"
entries[unit] = {**family, "file": unit, "command": family["command"].replace(family["file"], unit)}
(pathlib.Path(units) / "compile_commands.json").write_text(json.dumps(list(entries.values())))
(pathlib.Path(units) / "files").write_text("".join(file + "\n" for file in entries))
PYTHON

xargs -a "$units/files" -P "$(nproc)" -n 1 \
  clang-tidy --quiet -p "$units" --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-everything 2>&1 |
  { grep -v -E 'warnings? generated|warnings? and [0-9]+ error|^Suppressed|^Use -header-filter' || true; } | tee "$units/log"
! grep -q -E '(warning|error):' "$units/log"

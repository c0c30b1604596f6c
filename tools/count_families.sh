#!/usr/bin/env bash
# Lines of code of every family's file (without blank lines, comments, and the frame that all share: includes and
# namespaces), the fewest first, and the median.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../src/model/families"
for file in *.cpp; do
  [ "$file" = registry.cpp ] && continue
  lines=$(grep -vcE '^ *(//.*)?$|^#include|^namespace|^}  // namespace' "$file")
  families=$(grep -c '^const Family ' "$file")
  printf '%4d  %-24s %d famil%s\n' "$lines" "$file" "$families" "$([ "$families" = 1 ] && echo y || echo ies)"
done | sort -n | awk '{ print; lines[NR] = $1; sum += $1; n += $3 } END {
  printf "%d files, %d families, %d lines: median %d a file, %.0f a family\n", NR, n, sum, lines[int((NR + 1) / 2)], sum / n }'

#include "sampling/stage.h"

#include <array>

namespace llm::sampling {
namespace {

constexpr std::array<StageKind, 9> kinds = {{
    {"penalties", make_penalties, false},
    {"dry", make_dry, false},
    {"top_n_sigma", make_top_n_sigma, true},
    {"top_k", make_top_k, true},
    {"typical_p", make_typical_p, true},
    {"top_p", make_top_p, true},
    {"min_p", make_min_p, true},
    {"xtc", make_xtc, true},
    {"temperature", make_temperature, false},
}};

}  // namespace

std::span<const StageKind> stage_kinds() {
  return kinds;
}

const StageKind* find_stage_kind(std::string_view name) {
  for (const StageKind& kind : kinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

}  // namespace llm::sampling

#ifndef KERNELS_IQ_GRIDS_H
#define KERNELS_IQ_GRIDS_H

#include <cstdint>

// Lookup tables of the IQ weight types. Byte i of a word (lowest first) is entry i of a grid row.

namespace llm::kernels {

extern const std::uint64_t iq1_grid[2048];  // signed bytes -1, 0, 1
extern const std::uint64_t iq2_xxs_grid[256];
extern const std::uint64_t iq2_xs_grid[512];
extern const std::uint64_t iq2_s_grid[1024];
extern const std::uint32_t iq3_xxs_grid[256];
extern const std::uint32_t iq3_s_grid[512];
extern const std::uint8_t iq_signs[128];  // seven sign bits -> eight, the number of set bits even

}  // namespace llm::kernels

#endif

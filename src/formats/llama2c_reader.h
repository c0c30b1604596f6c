#ifndef FORMATS_LLAMA2C_READER_H
#define FORMATS_LLAMA2C_READER_H

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/mapped_weights.h"

namespace llm::formats {

// Checkpoints of llama2.c (its export.py): version 0 without magic, float32; versions 1 (float32) and 2 (int8 groups
// with float32 scales) with magic "24ka" and a header of 256 bytes. They hold no vocabulary: that is in a
// tokenizer.bin.

bool has_llama2c_magic(std::span<const std::byte> bytes);
// Version 0 has no magic: true if its seven numbers describe a model at all.
bool looks_like_llama2c_v0(std::span<const std::byte> bytes);

// Most bytes that the matrices of a version-2 file may take as F32.
inline constexpr std::uint64_t llama2c_max_f32_bytes = std::uint64_t{256} << 20;

// The tensors under Hugging Face's names with an equivalent config.json. Two things differ from a converted folder:
// rotary pairs are neighbours (2i, 2i+1), which the config says as "rope_interleave": true; and version 2 is converted
// when opened: exactly, to F32, up to max_f32_bytes, above that to Q8_0, whose scales are rounded to F16.
// Throws Error(model).
WeightsContents read_llama2c(MappedFile file, std::uint64_t max_f32_bytes = llama2c_max_f32_bytes);

}  // namespace llm::formats

#endif

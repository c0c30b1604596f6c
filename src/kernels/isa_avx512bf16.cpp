// AVX-512 F, BW, VL, DQ, VNNI, BF16.
#include "kernels/isa.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/decode.h"
#include "kernels/half.h"
#include "kernels/iq_grids.h"

namespace llm::kernels {
namespace {

#include "kernels/simd_avx512.inl"
#include "kernels/simd_avx512_int.inl"

#include "kernels/generic.inl"

}  // namespace

constinit const KernelTable avx512bf16_kernels = make_table("avx512bf16");

}  // namespace llm::kernels

#endif

// AVX2 + FMA + F16C.
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

#include "kernels/simd_avx2.inl"
#include "kernels/simd_avx2_int.inl"

#include "kernels/generic.inl"

}  // namespace

constinit const KernelTable avx2_kernels = make_table("avx2");

}  // namespace llm::kernels

#endif

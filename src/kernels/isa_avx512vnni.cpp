// AVX-512 F, BW, VL, DQ, VNNI.
#include "kernels/isa.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/decode.h"
#include "kernels/half.h"

namespace llm::kernels {
namespace {

#include "kernels/simd_avx512.inl"
#include "kernels/simd_avx512_int.inl"
// The kernels, written once over the wrapper.
#include "kernels/encode.inl"
#include "kernels/matmul_float.inl"
#include "kernels/matmul_int8.inl"
#include "kernels/math.inl"
#include "kernels/rows.inl"
#include "kernels/attention.inl"
#include "kernels/scan.inl"
#include "kernels/table.inl"

}  // namespace

constinit const KernelTable avx512vnni_kernels = make_table("avx512vnni");

}  // namespace llm::kernels

#endif

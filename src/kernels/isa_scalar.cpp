// Portable C++: any machine.
#include "kernels/isa.h"

#include <cstddef>
#include <cstdint>

#include "kernels/decode.h"
#include "kernels/half.h"

namespace llm::kernels {
namespace {

#include "kernels/simd_portable.inl"
#include "kernels/simd_portable_int.inl"
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

constinit const KernelTable scalar_kernels = make_table("scalar");

}  // namespace llm::kernels

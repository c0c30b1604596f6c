// Portable C++: any machine.
#include "kernels/isa.h"

#include <cstddef>
#include <cstdint>

#include "kernels/decode.h"
#include "kernels/half.h"
#include "kernels/iq_grids.h"

namespace llm::kernels {
namespace {

#include "kernels/simd_portable.inl"
#include "kernels/simd_portable_int.inl"

#include "kernels/generic.inl"

}  // namespace

constinit const KernelTable scalar_kernels = make_table("scalar");

}  // namespace llm::kernels

#ifndef KERNELS_ISA_H
#define KERNELS_ISA_H

#include "kernels/kernels.h"

// The tables of the instruction sets that this program was compiled for, each the one symbol of its isa_*.cpp.

namespace llm::kernels {

extern const KernelTable scalar_kernels;
#if defined(__x86_64__)
extern const KernelTable avx2_kernels;
extern const KernelTable avxvnni_kernels;
extern const KernelTable avx512_kernels;
extern const KernelTable avx512vnni_kernels;
extern const KernelTable avx512bf16_kernels;
extern const KernelTable amx_kernels;
#endif

}  // namespace llm::kernels

#endif

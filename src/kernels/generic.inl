// Everything that is written once over the vector wrapper, in the order in which it builds on each other. Included by
// each isa_*.cpp, after its wrapper. (Blank lines keep the order.)

#include "kernels/encode.inl"

#include "kernels/encode_grid.inl"

#include "kernels/encode_row.inl"

#include "kernels/matmul_float.inl"

#if defined(__AMX_TILE__)
#include "kernels/tile_config.inl"

#include "kernels/fetch.inl"
#endif

#if defined(__AMX_BF16__)
#include "kernels/bf16_parts.inl"

#include "kernels/matvec_bf16_parts.inl"

#include "kernels/matmul_bf16_tiles.inl"
#elif defined(__AVX512BF16__)
#include "kernels/matmul_bf16_dot.inl"
#endif

#include "kernels/matmul_int8.inl"

#include "kernels/math.inl"

#include "kernels/rows.inl"

#include "kernels/attention_forms.inl"

#include "kernels/attention.inl"

#include "kernels/attention_store.inl"

#include "kernels/scan.inl"

#include "kernels/table.inl"

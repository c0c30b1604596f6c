// AMX tiles: how they are shaped, and their instructions.

// 64 bytes as the instruction reads them (Intel SDM, LDTILECFG).
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  void load() const {
    // The intrinsic reads memory that the compiler does not know of; so do the loads of tiles that follow.
    __asm__ volatile("" : : "r"(this) : "memory");
    _tile_loadconfig(this);
  }
};

// Tile instructions with the tiles' numbers as constants.
template <int tile>
inline void tile_load(const void* from, std::int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile));
}
template <int tile>
inline void tile_store(void* to, std::int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
inline void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
}
// sums += a b, both signed.
template <int sums, int a, int b>
inline void tile_dot_int8() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}
// sums += a b in bfloat16.
template <int sums, int a, int b>
inline void tile_dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(a), "i"(b));
}

// Between writing memory and loading tiles from it, or storing tiles and reading it: the compiler does not see what
// tile instructions read.
inline void order_tile_memory() {
  __asm__ volatile("" : : : "memory");
}

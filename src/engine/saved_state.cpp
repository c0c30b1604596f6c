#include "engine/saved_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <llm/error.hpp>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/mapped_file.h"

namespace llm::engine {
namespace {

constexpr std::string_view magic = "LLMSTATE";
constexpr std::size_t header_bytes = 16;  // magic and checksum

std::uint64_t data_bytes(const StateGroup& group, int block_tokens) {
  return group.kind == StateKind::per_sequence ? group.unit_bytes
                                               : group.unit_bytes * static_cast<std::uint64_t>(block_tokens);
}

class Writer {
 public:
  void number(std::uint64_t value) { bytes(&value, sizeof value); }
  void bytes(const void* data, std::size_t n) {
    const auto* from = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), from, from + n);
  }
  std::span<const std::byte> all() const { return out_; }

 private:
  std::vector<std::byte> out_;
};

// Reads numbers and runs of bytes; asking for more than there is throws.
class Reader {
 public:
  Reader(const std::string& path, std::span<const std::byte> bytes) : path_(path), rest_(bytes) {}

  std::span<const std::byte> bytes(std::uint64_t n) {
    if (n > rest_.size()) fail("is damaged: it ends too early");
    const std::span<const std::byte> taken = rest_.first(static_cast<std::size_t>(n));
    rest_ = rest_.subspan(static_cast<std::size_t>(n));
    return taken;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }
  bool at_end() const { return rest_.empty(); }
  std::size_t n_left() const { return rest_.size(); }
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::io, fmt::format("{}: {}", path_, what));
  }

 private:
  const std::string& path_;
  std::span<const std::byte> rest_;
};

// Blocks taken from a pool that are given back unless somebody shares them.
class TakenBlocks {
 public:
  explicit TakenBlocks(StatePool& pool) : pool_(pool), blocks_(static_cast<std::size_t>(pool.n_groups())) {}
  TakenBlocks(const TakenBlocks&) = delete;
  TakenBlocks& operator=(const TakenBlocks&) = delete;
  ~TakenBlocks() {
    for (std::size_t g = 0; g < blocks_.size(); ++g) {
      for (std::byte* block : blocks_[g]) {
        if (block != nullptr) pool_.release(static_cast<int>(g), block);
      }
    }
  }
  void absent(int group) { blocks_[static_cast<std::size_t>(group)].push_back(nullptr); }
  std::byte* take(int group) {
    std::byte* block = pool_.take(group);
    blocks_[static_cast<std::size_t>(group)].push_back(block);
    return block;
  }
  std::byte* at(int group, std::size_t i) const { return blocks_[static_cast<std::size_t>(group)][i]; }

 private:
  StatePool& pool_;
  std::vector<std::vector<std::byte*>> blocks_;
};

struct GroupFlags {
  std::vector<bool> present;
};

// Groups as the file lists them, compared with the pool's.
std::vector<GroupFlags> read_groups(Reader& in, const StatePool& pool, std::int64_t n) {
  if (in.number() != static_cast<std::uint64_t>(pool.block_tokens()) ||
      in.number() != static_cast<std::uint64_t>(pool.n_groups())) {
    in.fail("belongs to another kind of state");
  }
  std::vector<GroupFlags> groups;
  for (const StateGroup& group : pool.groups()) {
    const std::uint64_t kind = in.number(), window = in.number(), unit_bytes = in.number(), n_blocks = in.number();
    if (kind != static_cast<std::uint64_t>(group.kind) || window != static_cast<std::uint64_t>(group.window) ||
        unit_bytes != group.unit_bytes) {
      in.fail("belongs to another kind of state");
    }
    const std::int64_t block = pool.block_tokens();
    const bool by_token = group.kind == StateKind::per_token;
    if (n_blocks != static_cast<std::uint64_t>(by_token ? (n + block - 1) / block : 1)) in.fail("is damaged");
    GroupFlags flags;
    for (const std::byte flag : in.bytes(n_blocks)) flags.present.push_back(flag != std::byte{0});
    // What the positions after the last one look at must be there.
    const std::int64_t first =
        by_token && group.window > 0 ? std::max<std::int64_t>(0, n - group.window) / block : std::int64_t{0};
    if (std::find(flags.present.begin() + first, flags.present.end(), false) != flags.present.end()) {
      in.fail("is damaged");
    }
    groups.push_back(std::move(flags));
  }
  return groups;
}

}  // namespace

bool is_saved_state(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, magic.size()> start = {};
  return static_cast<bool>(file.read(start.data(), start.size())) &&
         std::string_view(start.data(), start.size()) == magic;
}

void save_state(const std::string& path, std::string_view identity, std::span<const std::int32_t> ids,
                const SequenceState& state) {
  const StatePool& pool = state.pool();
  Writer head;
  head.number(identity.size());
  head.bytes(identity.data(), identity.size());
  head.number(ids.size());
  head.bytes(ids.data(), ids.size_bytes());
  head.number(static_cast<std::uint64_t>(pool.block_tokens()));
  head.number(static_cast<std::uint64_t>(pool.n_groups()));
  Hash hash;
  const auto each_block = [&](const auto& visit) {
    for (int g = 0; g < pool.n_groups(); ++g) {
      const StateGroup& group = pool.groups()[static_cast<std::size_t>(g)];
      for (std::size_t i = 0; i < state.n_blocks(g); ++i) {
        const std::byte* block = state.block(g, i);
        if (block != nullptr) visit(std::span(block, data_bytes(group, pool.block_tokens())));
      }
    }
  };
  for (int g = 0; g < pool.n_groups(); ++g) {
    const StateGroup& group = pool.groups()[static_cast<std::size_t>(g)];
    head.number(static_cast<std::uint64_t>(group.kind));
    head.number(static_cast<std::uint64_t>(group.window));
    head.number(group.unit_bytes);
    head.number(state.n_blocks(g));
    for (std::size_t i = 0; i < state.n_blocks(g); ++i) {
      const std::byte present{static_cast<unsigned char>(state.block(g, i) != nullptr ? 1 : 0)};
      head.bytes(&present, 1);
    }
  }
  hash.add(head.all());
  each_block([&](std::span<const std::byte> block) { hash.add(block); });
  const std::uint64_t checksum = hash.value();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(magic)));
  file.write(std::as_bytes(std::span(&checksum, 1)));
  file.write(head.all());
  each_block([&](std::span<const std::byte> block) { file.write(block); });
  file.commit();
}

std::vector<std::int32_t> load_state(const std::string& path, std::string_view identity, std::int64_t n_context,
                                     std::int64_t n_vocab, SequenceState& state) {
  state.clear();
  const MappedFile file(path);
  Reader in(path, file.bytes());
  if (file.size() < header_bytes || std::memcmp(in.bytes(magic.size()).data(), magic.data(), magic.size()) != 0) {
    in.fail("is no saved state");
  }
  const std::uint64_t checksum = in.number();
  const std::span<const std::byte> found = in.bytes(in.number());
  if (std::string_view(reinterpret_cast<const char*>(found.data()), found.size()) != identity) {
    in.fail("was made with another model, other options or another version");
  }
  StatePool& pool = state.pool();
  const std::uint64_t n_ids = in.number();
  if (n_ids == 0 || n_ids > in.n_left() / sizeof(std::int32_t)) in.fail("is damaged");
  if (n_ids > static_cast<std::uint64_t>(n_context)) {
    in.fail(fmt::format("holds {} tokens, expected at most {} (the context)", n_ids, n_context));
  }
  std::vector<std::int32_t> ids(static_cast<std::size_t>(n_ids));
  std::memcpy(ids.data(), in.bytes(n_ids * sizeof(std::int32_t)).data(), ids.size() * sizeof(std::int32_t));
  const auto n = static_cast<std::int64_t>(n_ids);
  const std::vector<GroupFlags> groups = read_groups(in, pool, n);
  // Blocks were summed one after the other when the file was written.
  Hash hash;
  const std::size_t data_at = file.size() - in.n_left();
  hash.add(file.bytes().subspan(header_bytes, data_at - header_bytes));
  Reader data = in;
  for (int g = 0; g < pool.n_groups(); ++g) {
    const std::uint64_t size = data_bytes(pool.groups()[static_cast<std::size_t>(g)], pool.block_tokens());
    for (const bool present : groups[static_cast<std::size_t>(g)].present) {
      if (present) hash.add(data.bytes(size));
    }
  }
  const bool in_range = std::all_of(ids.begin(), ids.end(), [&](std::int32_t id) { return id >= 0 && id < n_vocab; });
  if (!data.at_end() || hash.value() != checksum || !in_range) in.fail("is damaged: its checksum is wrong");

  TakenBlocks taken(pool);
  std::vector<const std::byte*> records(static_cast<std::size_t>(pool.n_groups()));
  for (int g = 0; g < pool.n_groups(); ++g) {
    const StateGroup& group = pool.groups()[static_cast<std::size_t>(g)];
    for (const bool present : groups[static_cast<std::size_t>(g)].present) {
      if (!present) {
        taken.absent(g);
        continue;
      }
      const std::span<const std::byte> bytes = in.bytes(data_bytes(group, pool.block_tokens()));
      if (group.kind == StateKind::per_sequence) {
        records[static_cast<std::size_t>(g)] = bytes.data();
        continue;
      }
      std::byte* block = taken.take(g);
      if (block == nullptr) in.fail("does not fit in the memory for keys and values");
      std::memcpy(block, bytes.data(), bytes.size());
    }
  }
  const bool fits = state.assemble(
      n, [&](int g, std::size_t i) { return taken.at(g, i); },
      [&](int g) { return records[static_cast<std::size_t>(g)]; });
  if (!fits) {
    state.clear();
    in.fail("does not fit in the memory for keys and values");
  }
  return ids;
}

}  // namespace llm::engine

#ifndef ENGINE_SAVED_STATE_H
#define ENGINE_SAVED_STATE_H

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sequence_state.h"

namespace llm::engine {

// State of a sequence in a file. Layout, little-endian:
//
//   magic                 8 bytes "LLMSTATE"
//   checksum              u64 of all that follows
//   identity              u64 length, bytes: a text that says what the state depends on (model, types, version)
//   ids                   u64 count, i32 each
//   block_tokens          u64
//   groups                u64 count, each: u64 kind, u64 window, u64 unit_bytes, u64 n_blocks, one byte a block (1:
//   there) data                  group after group, the blocks that are there: unit_bytes * block_tokens, or one record
//
// Nothing in a file is believed: lengths are compared with the bytes that are left, everything with the checksum, and
// identity and groups with those of the reader.

// A file that begins with the magic, whatever else it holds.
bool is_saved_state(const std::string& path);

// Writes the state of ids, state.size() of them. The file appears when it is whole. Throws Error(io).
void save_state(const std::string& path, std::string_view identity, std::span<const std::int32_t> ids,
                const SequenceState& state);

// Fills `state` and gives the ids it belongs to. Takes as much of the pool as the state needs. Throws Error(io) that
// says what is wrong; `state` is empty then.
std::vector<std::int32_t> load_state(const std::string& path, std::string_view identity, std::int64_t n_context,
                                     std::int64_t n_vocab, SequenceState& state);

}  // namespace llm::engine

#endif

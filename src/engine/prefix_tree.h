#ifndef ENGINE_PREFIX_TREE_H
#define ENGINE_PREFIX_TREE_H

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "engine/sequence_state.h"

namespace llm::engine {

using TokenId = std::int32_t;

// State of token sequences that may be needed again: a radix tree over ids whose edges are blocks. A node holds the
// state of up to block_tokens ids after those of its parents: for every per_token group its block, or null where a
// window had passed; and, if somebody left one, a checkpoint: the records of the recurrent groups after its last id.
// A sequence resumes at the longest prefix at which everything that later positions need is there. What was not used
// for longest is given up first. Not for encoder-decoders.
class PrefixTree {
 public:
  explicit PrefixTree(StatePool& pool);
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;
  ~PrefixTree() { clear(); }

  // n <= n_same_ids.
  struct Match {
    std::int64_t n = 0;           // positions that can be taken over
    std::int64_t n_same_ids = 0;  // positions whose ids are in the tree, resumable or not
  };
  Match find(std::span<const TokenId> ids) const;
  // Fills `state` with the longest prefix of ids that can be taken over. Gives its length; 0 leaves it empty.
  std::int64_t resume(std::span<const TokenId> ids, SequenceState& state);
  // Remembers the state of all ids, state.size() of them. With `checkpoint`, recurrent records are copied too, if the
  // budget allows; recurrent models remember nothing without one.
  void insert(std::span<const TokenId> ids, const SequenceState& state, bool checkpoint);
  // Gives up what was not used for longest until `bytes` of the pool are free. False if that is not possible.
  bool make_room(std::uint64_t bytes);
  void clear();

  std::size_t n_nodes() const { return lru_.size(); }
  // Calls visit(group, block) for every block and record that the tree holds.
  template <typename Visit>
  void each_held(const Visit& visit) const {
    for (const Node* node : lru_) {
      for (std::size_t g = 0; g < node->blocks.size(); ++g) {
        if (node->blocks[g] != nullptr) visit(static_cast<int>(g), node->blocks[g]);
      }
    }
  }

 private:
  struct Node;
  struct ByIds {
    using is_transparent = void;
    bool operator()(const std::unique_ptr<Node>& a, const std::unique_ptr<Node>& b) const;
    bool operator()(const std::unique_ptr<Node>& a, std::span<const TokenId> b) const;
    bool operator()(std::span<const TokenId> a, const std::unique_ptr<Node>& b) const;
  };
  using Children = std::set<std::unique_ptr<Node>, ByIds>;
  struct Node {
    std::vector<TokenId> ids;        // [1 ... block_tokens]; fewer only in leaves
    std::vector<std::byte*> blocks;  // [group]: block, or record of a checkpoint; null: not there
    Node* parent = nullptr;
    Children children;
    std::list<Node*>::iterator place;  // in lru_
  };

  // Nodes along ids, the last of which may match in part, and how many ids match.
  struct Path {
    std::vector<Node*> nodes;
    std::int64_t length = 0;
  };
  Path follow(std::span<const TokenId> ids) const;
  void cut_to_resumable(Path& path, std::span<const TokenId> ids) const;
  std::int64_t last_missing(const Path& path) const;
  bool has_records(const Node& node) const;
  Node* checkpoint_leaf(const Node& parent, std::span<const TokenId> ids) const;
  void touch(const Path& path);
  void remove(Node* leaf);
  bool frees_memory(const Node& node) const;

  StatePool* pool_;
  bool recurrent_ = false;
  bool per_token_ = false;
  Node root_;
  std::list<Node*> lru_;  // most recently used first; parents before their children
};

}  // namespace llm::engine

#endif

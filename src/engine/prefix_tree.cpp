#include "engine/prefix_tree.h"

#include <algorithm>
#include <cstring>

namespace llm::engine {

bool PrefixTree::ByIds::operator()(const std::unique_ptr<Node>& a, const std::unique_ptr<Node>& b) const {
  return a->ids < b->ids;
}

bool PrefixTree::ByIds::operator()(const std::unique_ptr<Node>& a, std::span<const TokenId> b) const {
  return std::lexicographical_compare(a->ids.begin(), a->ids.end(), b.begin(), b.end());
}

bool PrefixTree::ByIds::operator()(std::span<const TokenId> a, const std::unique_ptr<Node>& b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b->ids.begin(), b->ids.end());
}

PrefixTree::PrefixTree(StatePool& pool) : pool_(&pool) {
  for (const StateGroup& group : pool.groups()) {
    recurrent_ = recurrent_ || group.kind == StateKind::per_sequence;
    per_token_ = per_token_ || group.kind == StateKind::per_token;
  }
}

PrefixTree::Path PrefixTree::follow(std::span<const TokenId> ids) const {
  Path path;
  const Node* at = &root_;
  const auto block = static_cast<std::size_t>(pool_->block_tokens());
  while (!ids.empty()) {
    const std::span<const TokenId> wanted = ids.first(std::min(block, ids.size()));
    // The child with the longest common beginning is a neighbour of where the ids would stand.
    Node* best = nullptr;
    std::size_t n_best = 0;
    const auto consider = [&](Node* node) {
      const auto differs = std::mismatch(wanted.begin(), wanted.end(), node->ids.begin(), node->ids.end());
      const auto n = static_cast<std::size_t>(differs.first - wanted.begin());
      if (n > n_best) {
        best = node;
        n_best = n;
      }
    };
    const auto after = at->children.lower_bound(wanted);
    if (after != at->children.end()) consider(after->get());
    if (after != at->children.begin()) consider(std::prev(after)->get());
    if (best == nullptr) break;
    path.nodes.push_back(best);
    path.length += static_cast<std::int64_t>(n_best);
    if (n_best < block) break;
    ids = ids.subspan(n_best);
    at = best;
  }
  return path;
}

bool PrefixTree::has_records(const Node& node) const {
  for (std::size_t g = 0; g < node.blocks.size(); ++g) {
    if (pool_->groups()[g].kind == StateKind::per_sequence && node.blocks[g] == nullptr) return false;
  }
  return true;
}

// The longest leaf that ends with a checkpoint before it fills its block, along ids; null: none.
PrefixTree::Node* PrefixTree::checkpoint_leaf(const Node& parent, std::span<const TokenId> ids) const {
  for (std::size_t n = ids.size(); n > 0; --n) {
    const auto leaf = parent.children.find(ids.first(n));
    if (leaf != parent.children.end() && has_records(**leaf)) return leaf->get();
  }
  return nullptr;
}

// Of the blocks that positions after the path look back to, the index of the last one that is not there; -1: all are.
std::int64_t PrefixTree::last_missing(const Path& path) const {
  const std::int64_t block = pool_->block_tokens();
  std::int64_t missing = -1;
  for (std::size_t g = 0; g < pool_->groups().size(); ++g) {
    const StateGroup& group = pool_->groups()[g];
    if (group.kind != StateKind::per_token) continue;
    const std::int64_t first = group.window > 0 ? std::max<std::int64_t>(0, path.length - group.window) / block : 0;
    for (auto i = static_cast<std::int64_t>(path.nodes.size()) - 1; i >= first && i > missing; --i) {
      if (path.nodes[static_cast<std::size_t>(i)]->blocks[g] == nullptr) missing = i;
    }
  }
  return missing;
}

// Shortens the path to the longest prefix from which a sequence can go on.
void PrefixTree::cut_to_resumable(Path& path, std::span<const TokenId> ids) const {
  const std::int64_t block = pool_->block_tokens();
  while (path.length > 0) {
    Node*& last = path.nodes.back();
    const std::int64_t begin = static_cast<std::int64_t>(path.nodes.size() - 1) * block;
    std::int64_t shorter = begin;
    // A checkpoint stands at the end of its node.
    const bool at_record = path.length - begin == static_cast<std::int64_t>(last->ids.size()) && has_records(*last);
    if (!recurrent_ || at_record) {
      const std::int64_t missing = last_missing(path);
      if (missing < 0) return;
      // Any prefix that ends after this block and looks back so far needs it as well.
      shorter = std::min(begin, missing * block);
    }
    if (recurrent_) {
      const Node& parent = path.nodes.size() == 1 ? root_ : *path.nodes[path.nodes.size() - 2];
      const auto n_in_last = static_cast<std::size_t>(path.length - begin - (at_record ? 1 : 0));
      if (Node* leaf = checkpoint_leaf(parent, ids.subspan(static_cast<std::size_t>(begin), n_in_last))) {
        last = leaf;
        path.length = begin + static_cast<std::int64_t>(leaf->ids.size());
        continue;
      }
    }
    path.length = shorter;
    path.nodes.resize(static_cast<std::size_t>(shorter / block));
  }
}

PrefixTree::Match PrefixTree::find(std::span<const TokenId> ids) const {
  Path path = follow(ids);
  const std::int64_t n_same = path.length;
  cut_to_resumable(path, ids);
  return {.n = path.length, .n_same_ids = n_same};
}

void PrefixTree::touch(const Path& path) {
  for (auto node = path.nodes.rbegin(); node != path.nodes.rend(); ++node) {
    lru_.splice(lru_.begin(), lru_, (*node)->place);
  }
}

std::int64_t PrefixTree::resume(std::span<const TokenId> ids, SequenceState& state) {
  Path path = follow(ids);
  cut_to_resumable(path, ids);
  const std::int64_t n = path.length;
  if (n == 0) {
    state.clear();
    return 0;
  }
  touch(path);
  const std::int64_t block = pool_->block_tokens();
  const bool fits = state.assemble(
      n,
      [&](int g, std::size_t i) -> std::byte* {
        const StateGroup& group = pool_->groups()[static_cast<std::size_t>(g)];
        const std::int64_t first = group.window > 0 ? std::max<std::int64_t>(0, n - group.window) / block : 0;
        return static_cast<std::int64_t>(i) < first ? nullptr : path.nodes[i]->blocks[static_cast<std::size_t>(g)];
      },
      [&](int g) { return path.nodes.back()->blocks[static_cast<std::size_t>(g)]; });
  if (!fits) {
    state.clear();
    return 0;
  }
  return n;
}

void PrefixTree::insert(std::span<const TokenId> ids, const SequenceState& state, bool checkpoint) {
  if (ids.empty() || (recurrent_ && !checkpoint)) return;
  const auto block = static_cast<std::size_t>(pool_->block_tokens());
  const std::size_t n_groups = pool_->groups().size();
  Node* at = &root_;
  Path path;
  for (std::size_t begin = 0; begin < ids.size(); begin += block) {
    const std::span<const TokenId> wanted = ids.subspan(begin, std::min(block, ids.size() - begin));
    auto found = at->children.lower_bound(wanted);
    if (wanted.size() < block && found != at->children.end()) {
      // A longer node that begins like this leaf serves as well, unless a checkpoint has to stand here.
      const Node& other = **found;
      const bool covers =
          other.ids.size() > wanted.size() && std::equal(wanted.begin(), wanted.end(), other.ids.begin());
      if (covers && !recurrent_) {
        path.nodes.push_back(found->get());
        break;
      }
    }
    if (found == at->children.end() ||
        !std::equal(wanted.begin(), wanted.end(), (*found)->ids.begin(), (*found)->ids.end())) {
      // A shorter leaf that these ids continue is not needed any more.
      while (found != at->children.begin()) {
        const auto before = std::prev(found);
        Node* shorter = before->get();
        if (recurrent_ || !shorter->children.empty() || shorter->ids.size() >= wanted.size() ||
            !std::equal(shorter->ids.begin(), shorter->ids.end(), wanted.begin())) {
          break;
        }
        remove(shorter);
        found = at->children.lower_bound(wanted);
      }
      auto node = std::make_unique<Node>();
      node->ids.assign(wanted.begin(), wanted.end());
      node->blocks.assign(n_groups, nullptr);
      node->parent = at;
      lru_.push_front(node.get());
      node->place = lru_.begin();
      found = at->children.insert(std::move(node)).first;
    }
    at = found->get();
    path.nodes.push_back(at);
    const std::size_t i = begin / block;
    for (std::size_t g = 0; g < n_groups; ++g) {
      if (pool_->groups()[g].kind != StateKind::per_token || at->blocks[g] != nullptr) continue;
      at->blocks[g] = state.block(static_cast<int>(g), i);
      if (at->blocks[g] != nullptr) pool_->share(static_cast<int>(g), at->blocks[g]);
    }
  }
  touch(path);
  if (!recurrent_ || has_records(*at)) return;
  for (std::size_t g = 0; g < n_groups; ++g) {
    if (pool_->groups()[g].kind != StateKind::per_sequence || at->blocks[g] != nullptr) continue;
    const int group = static_cast<int>(g);
    // Room for a checkpoint must not cost the path that leads to it: that was touched last, so it goes last.
    std::byte* record = pool_->take(group);
    if (record == nullptr) break;
    std::memcpy(record, state.block(group, 0), pool_->groups()[g].unit_bytes);
    at->blocks[g] = record;
  }
  if (!per_token_) {
    // Nodes that hold no memory would never be given up.
    while (at != &root_ && at->children.empty() &&
           std::all_of(at->blocks.begin(), at->blocks.end(), [](const std::byte* b) { return b == nullptr; })) {
      Node* parent = at->parent;
      remove(at);
      at = parent;
    }
  }
}

// Takes a leaf away, and parents that hold nothing without it.
void PrefixTree::remove(Node* leaf) {
  Node* parent = leaf->parent;
  for (std::size_t g = 0; g < leaf->blocks.size(); ++g) {
    if (leaf->blocks[g] != nullptr) pool_->release(static_cast<int>(g), leaf->blocks[g]);
  }
  lru_.erase(leaf->place);
  parent->children.erase(parent->children.find(std::span<const TokenId>(leaf->ids)));
}

bool PrefixTree::frees_memory(const Node& node) const {
  bool holds_any = false;
  for (std::size_t g = 0; g < node.blocks.size(); ++g) {
    if (node.blocks[g] == nullptr) continue;
    holds_any = true;
    if (pool_->holders(static_cast<int>(g), node.blocks[g]) == 1) return true;
  }
  return !holds_any;
}

bool PrefixTree::make_room(std::uint64_t bytes) {
  if (bytes > pool_->budget_bytes()) return false;
  // What sequences hold as well frees nothing by itself, but its parents' blocks may be behind a window.
  for (const bool also_shared : {false, true}) {
    auto at = lru_.end();
    while (pool_->free_bytes() < bytes && at != lru_.begin()) {
      Node* node = *--at;
      if (!node->children.empty() || (!also_shared && !frees_memory(*node))) continue;
      const auto next = std::next(at);
      remove(node);
      at = next;
    }
  }
  return pool_->free_bytes() >= bytes;
}

void PrefixTree::clear() {
  while (!lru_.empty()) {
    Node* node = lru_.back();
    if (!node->children.empty()) {
      // Children are always used later than their parents or together with them; order is restored by moving it.
      lru_.splice(lru_.begin(), lru_, node->place);
      continue;
    }
    remove(node);
  }
}

}  // namespace llm::engine

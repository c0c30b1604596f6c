#include "tokenizer/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"

namespace llm::tokenizer {

namespace {

// Pieces of up to this many symbols are merged by scanning, longer ones with a heap.
constexpr std::size_t kFewSymbols = 48;
// Longer pieces are merged window by window.
constexpr std::size_t kWindowBytes = 1 << 13;
// Bytes at the end of a window whose tokens the text behind it might change, and the fewest tokens.
constexpr std::size_t kUnsureBytes = kWindowBytes / 4, kUnsureTokens = 4;

// Short words seen before, with their ids; a word replaces what was in its place.
class WordCache {
 public:
  static constexpr std::size_t kMostBytes = 28, kMostIds = 8;

  struct Entry {
    std::uint8_t n_bytes = 0;
    std::uint8_t n_ids = 0;
    char bytes[kMostBytes + 2] = {};
    TokenId ids[kMostIds] = {};
  };

  Entry& place(std::string_view word) { return entries_[hash_bytes(word) & (kEntries - 1)]; }
  static bool holds(const Entry& entry, std::string_view word) {
    return entry.n_bytes == word.size() && std::memcmp(entry.bytes, word.data(), word.size()) == 0;
  }
  static void fill(Entry& entry, std::string_view word, std::span<const TokenId> ids) {
    if (ids.size() > kMostIds) return;
    entry.n_bytes = static_cast<std::uint8_t>(word.size());
    entry.n_ids = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.bytes, word.data(), word.size());
    std::copy(ids.begin(), ids.end(), entry.ids);
  }

 private:
  static constexpr std::size_t kEntries = 1 << 14;  // of 64 bytes: 1 MB
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

// How often the first `n_bytes` of a text stand again `step` bytes further on, without reaching its end.
std::size_t count_repeats(std::string_view text, std::size_t n_bytes, std::size_t step) {
  const std::string_view window = text.substr(0, n_bytes);
  std::size_t n = 0;
  while ((n + 1) * step + n_bytes < text.size() && text.substr((n + 1) * step, n_bytes) == window) ++n;
  return n;
}

}  // namespace

struct Bpe::Work : Scratch {
  WordCache cache;
  std::string text;
  std::vector<Symbol> symbols;        // after merging: the tokens
  std::vector<std::uint32_t> starts;  // where each symbol starts, in bytes of the window; one more for the end
  std::vector<std::uint32_t> ranks;
  std::vector<Symbol> results;
  std::vector<std::uint32_t> next, previous;
  std::vector<std::uint64_t> heap;  // rank << 32 | position
};

Bpe::Bpe(const Vocabulary& vocabulary, Options options)
    : vocabulary_(vocabulary), options_(std::move(options)), next_inner_(static_cast<Symbol>(vocabulary.size())) {
  std::string text;
  for (unsigned b = 0; b < 256; ++b) {
    text.clear();
    append_utf8(text, byte_to_stand_in(static_cast<unsigned char>(b)));
    const TokenId byte = vocabulary.find(text);
    const bool direct = byte != kNoToken && vocabulary.kind(byte) == TokenKind::normal;
    byte_symbols_[b] = direct ? static_cast<Symbol>(byte) : kNoSymbol;
    if (!direct && options_.units == Units::bytes) byte_symbols_[b] = intern_inner(text);
    byte_tokens_[b] = vocabulary.find(byte_token_text(static_cast<unsigned char>(b)));
    if (options_.plain_bytes && byte_tokens_[b] == kNoToken) {
      byte_tokens_[b] = vocabulary.find(std::string(1, static_cast<char>(b)));
    }
  }
}

Symbol Bpe::find_symbol(std::string_view text) const {
  const TokenId id = vocabulary_.find_in_model(text);
  if (id != kNoToken) return static_cast<Symbol>(id);
  if (inner_symbols_.empty()) return kNoSymbol;
  const auto found = inner_symbols_.find(std::string(text));
  return found == inner_symbols_.end() ? kNoSymbol : found->second;
}

Symbol Bpe::intern(std::string_view text) {
  const TokenId id = vocabulary_.find(text);
  return id != kNoToken ? static_cast<Symbol>(id) : intern_inner(text);
}

Symbol Bpe::intern_inner(std::string_view text) {
  const auto [place, is_new] = inner_symbols_.try_emplace(std::string(text), next_inner_);
  if (is_new) ++next_inner_;
  return place->second;
}

// Two or three look-ups a merge in tables larger than the caches: a batch is hashed first so that the memory reads
// overlap. Merges mostly come in the order of the tokens they make: the token made last and the one after it are tried
// before the index.
void Bpe::add_merges(std::span<const MergeText> merges, std::uint32_t first_rank, MergeTable::OnRepeat on_repeat) {
  constexpr std::size_t kBatch = 16;
  struct Entry {
    std::uint64_t left_hash = 0, right_hash = 0, joined_hash = 0;
    TokenId result = kNoToken;
    std::string joined;
  };
  Entry entries[kBatch];
  Merge batch[kBatch];
  TokenId last = last_made_;
  const auto is_joined = [this](TokenId id, std::string_view left, std::string_view right) {
    if (id >= vocabulary_.model_size()) return false;
    const std::string_view text = vocabulary_.text(id);
    return text.size() == left.size() + right.size() && text.starts_with(left) && text.ends_with(right);
  };
  const auto symbol_of = [this](std::string_view text, std::uint64_t hash) {
    const TokenId id = vocabulary_.find_hashed(text, hash);
    return id != kNoToken ? static_cast<Symbol>(id) : intern_inner(text);
  };
  for (std::size_t first = 0; first < merges.size(); first += kBatch) {
    const std::size_t n = std::min(kBatch, merges.size() - first);
    for (std::size_t i = 0; i < n; ++i) {
      const MergeText& m = merges[first + i];
      Entry& entry = entries[i];
      entry.left_hash = Vocabulary::hash(m.left);
      entry.right_hash = Vocabulary::hash(m.right);
      vocabulary_.prefetch(entry.left_hash);
      vocabulary_.prefetch(entry.right_hash);
      std::string_view right = m.right;
      if (!options_.continuing_prefix.empty() && right.starts_with(options_.continuing_prefix)) {
        right.remove_prefix(options_.continuing_prefix.size());
      }
      entry.result = is_joined(last, m.left, right) ? last : is_joined(last + 1, m.left, right) ? last + 1 : kNoToken;
      if (entry.result != kNoToken) {
        last = entry.result;
        continue;
      }
      entry.joined.assign(m.left);
      entry.joined.append(right);
      entry.joined_hash = Vocabulary::hash(entry.joined);
      vocabulary_.prefetch(entry.joined_hash);
    }
    for (std::size_t i = 0; i < n; ++i) {
      const MergeText& m = merges[first + i];
      const Entry& entry = entries[i];
      batch[i].left = symbol_of(m.left, entry.left_hash);
      batch[i].right = symbol_of(m.right, entry.right_hash);
      batch[i].rank = first_rank + static_cast<std::uint32_t>(first + i);
      if (entry.result != kNoToken) {
        batch[i].result = static_cast<Symbol>(entry.result);
      } else {
        batch[i].result = symbol_of(entry.joined, entry.joined_hash);
        if (batch[i].result < static_cast<Symbol>(vocabulary_.size())) last = static_cast<TokenId>(batch[i].result);
      }
      merges_.prefetch(batch[i].left, batch[i].right);
    }
    for (std::size_t i = 0; i < n; ++i) merges_.insert(batch[i], on_repeat);
  }
  last_made_ = last;
}

bool Bpe::may_join(TokenId id) const {
  const TokenKind kind = vocabulary_.kind(id);
  return kind != TokenKind::control && kind != TokenKind::unknown && kind != TokenKind::byte;
}

template <typename RankOf>
void Bpe::add_all_joins(RankOf&& rank_of, std::size_t n_max) {
  std::vector<Merge> found;
  found.reserve(n_max);
  std::string left_text, right_text;
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (!may_join(id)) continue;
    const std::string_view text = vocabulary_.text(id);
    const std::size_t step_limit = text.size();
    for (std::size_t cut = 0; cut < step_limit;) {
      cut += unit_length(text[cut]);
      if (cut >= text.size()) break;
      const std::string_view left = text.substr(0, cut), right = text.substr(cut);
      // Single characters take part whether they are tokens or not.
      const bool left_single = unit_length(left[0]) >= left.size(),
                 right_single = unit_length(right[0]) >= right.size();
      const TokenId l = vocabulary_.find(left), r = vocabulary_.find(right);
      if ((l == kNoToken || !may_join(l)) && !left_single) continue;
      if ((r == kNoToken || !may_join(r)) && !right_single) continue;
      const Symbol left_symbol = l != kNoToken && may_join(l) ? static_cast<Symbol>(l) : intern(left);
      const Symbol right_symbol = r != kNoToken && may_join(r) ? static_cast<Symbol>(r) : intern(right);
      found.push_back({left_symbol, right_symbol, rank_of(id), static_cast<Symbol>(id)});
      if (vocabulary_.kind(id) == TokenKind::unused) {
        unused_parts_.try_emplace(static_cast<Symbol>(id), left_symbol, right_symbol);
      }
    }
  }
  merges_.reserve(found.size());
  for (const Merge& merge : found) merges_.insert(merge, MergeTable::OnRepeat::keep_first);
}

void Bpe::add_merges_from_scores() {
  std::vector<float> scores;
  scores.reserve(static_cast<std::size_t>(vocabulary_.size()));
  for (TokenId id = 0; id < vocabulary_.size(); ++id) scores.push_back(vocabulary_.score(id));
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  add_all_joins(
      [&](TokenId id) {
        const auto place = std::lower_bound(scores.begin(), scores.end(), vocabulary_.score(id), std::greater<>());
        return static_cast<std::uint32_t>(place - scores.begin());
      },
      static_cast<std::size_t>(vocabulary_.size()) * 2);
}

void Bpe::add_merges_from_ids() {
  add_all_joins([](TokenId id) { return static_cast<std::uint32_t>(id); },
                static_cast<std::size_t>(vocabulary_.size()) * 2);
}

bool Bpe::covers_all_bytes() const {
  return std::all_of(byte_symbols_.begin(), byte_symbols_.end(),
                     [this](Symbol symbol) { return symbol < static_cast<Symbol>(vocabulary_.size()); });
}

std::optional<std::string> Bpe::text_that_is_no_token() const {
  for (const auto& [text, symbol] : inner_symbols_) {
    if (options_.units == Units::characters ||
        std::find(byte_symbols_.begin(), byte_symbols_.end(), symbol) == byte_symbols_.end()) {
      return text;
    }
  }
  return std::nullopt;
}

std::unique_ptr<Scratch> Bpe::make_scratch() const {
  return std::make_unique<Work>();
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  auto& work = static_cast<Work&>(scratch);
  if (piece.size() > WordCache::kMostBytes) {
    encode_word(piece, work, out);
    return;
  }
  WordCache::Entry& entry = work.cache.place(piece);
  if (WordCache::holds(entry, piece)) {
    out.insert(out.end(), entry.ids, entry.ids + entry.n_ids);
    return;
  }
  const std::size_t before = out.size();
  encode_word(piece, work, out);
  WordCache::fill(entry, piece, std::span(out).subspan(before));
}

TokenId Bpe::find_whole(std::string_view piece, Work& work) const {
  if (piece.size() > vocabulary_.longest_text_bytes()) return kNoToken;
  TokenId id = kNoToken;
  if (options_.units == Units::bytes) {
    work.text.clear();
    append_stand_ins(piece, work.text);
    id = vocabulary_.find_in_model(work.text);
  } else {
    id = vocabulary_.find_in_model(piece);
  }
  if (id == kNoToken) return kNoToken;
  const TokenKind kind = vocabulary_.kind(id);
  return kind == TokenKind::control || kind == TokenKind::unknown ? kNoToken : id;
}

void Bpe::encode_word(std::string_view piece, Work& work, std::vector<TokenId>& out) const {
  if (options_.ignore_merges || (options_.whole_newlines && piece[0] == '\n')) {
    const TokenId id = find_whole(piece, work);
    if (id != kNoToken) {
      out.push_back(id);
      return;
    }
  }
  if (piece.size() > kWindowBytes) return encode_long(piece, work, out);
  const std::size_t first = out.size();
  start_symbols(piece, 0, piece.size(), work);
  if (work.symbols.size() <= kFewSymbols) {
    merge_few(work);
  } else {
    merge_many(work);
  }
  for (std::size_t i = 0; i < work.symbols.size(); ++i) {
    emit(work.symbols[i], piece.substr(work.starts[i], work.starts[i + 1] - work.starts[i]), first, out);
  }
}

// Merges one window after the other. All but the last tokens of a window are kept; the next window starts where they
// end. That is the encoding of the whole if the last token kept and the first of the next window stay apart when merged
// by themselves: tokens that follow each other are the encoding of their text exactly if every two neighbours are.
// If they do not, the window starts a token earlier. A window that reads like the one before gives its tokens again.
void Bpe::encode_long(std::string_view piece, Work& work, std::vector<TokenId>& out) const {
  struct Kept {
    std::size_t begin, n_ids;
  };
  const std::size_t first = out.size();
  std::vector<Kept> kept;  // the last window's tokens: where they start in the piece, ids before them
  std::size_t begin = 0;
  Work probe;
  while (begin < piece.size()) {
    const std::size_t end = start_symbols(piece, begin, begin + kWindowBytes, work);
    merge_many(work);
    const auto token = [&](std::size_t i) {
      return piece.substr(begin + work.starts[i], work.starts[i + 1] - work.starts[i]);
    };
    if (!kept.empty() && !stays_apart(piece.substr(kept.back().begin, begin - kept.back().begin), token(0), probe)) {
      begin = kept.back().begin;
      out.resize(kept.back().n_ids);
      kept.pop_back();
      continue;
    }
    std::size_t n = work.symbols.size();
    if (end < piece.size()) {
      const std::size_t sure = end - begin - std::min(kUnsureBytes, (end - begin) / 2);
      while (n > 1 && work.starts[n] > sure) --n;
      if (work.symbols.size() > kUnsureTokens) n = std::min(n, work.symbols.size() - kUnsureTokens);
      while (n > 1 && work.starts[n] == work.starts[n - 1]) --n;
    }
    kept.clear();
    const std::size_t n_ids = out.size();
    for (std::size_t i = 0; i < n; ++i) {
      kept.push_back({begin + work.starts[i], out.size()});
      emit(work.symbols[i], token(i), first, out);
    }
    std::size_t n_again = 0;
    if (begin > 0 && end < piece.size() && !options_.fuse_unknown && stays_apart(token(n - 1), token(0), probe)) {
      n_again = count_repeats(piece.substr(begin), end - begin, work.starts[n]);
    }
    const std::size_t n_ids_each = out.size() - n_ids;
    // Room for the rest, as far as this window tells.
    if (out.capacity() < out.size() + n_again * n_ids_each + kWindowBytes) {
      const std::size_t n_windows = (piece.size() - begin) / std::max<std::size_t>(work.starts[n], 1);
      out.reserve(out.size() + std::max(n_windows * (n_ids_each + n_ids_each / 16), out.size() / 8));
    }
    for (std::size_t i = 0; i < n_again * n_ids_each; ++i) out.push_back(out[out.size() - n_ids_each]);
    for (Kept& token_kept : kept) {
      token_kept.begin += n_again * work.starts[n];
      token_kept.n_ids += n_again * n_ids_each;
    }
    begin += (n_again + 1) * work.starts[n];
  }
}

// Whether two neighbouring tokens, taken as a text of their own, are found again.
bool Bpe::stays_apart(std::string_view left, std::string_view right, Work& work) const {
  const std::string both = std::string(left) + std::string(right);
  start_symbols(both, 0, both.size(), work);
  merge_many(work);
  return work.symbols.size() == 2 && work.starts[1] == left.size();
}

// A unit without a token, as a symbol for each byte of its text (with prefix and suffix; in the piece it takes
// n_bytes). Without all of them it is left out, or stays for the unknown token.
void Bpe::add_unknown(std::string_view text, std::size_t start, std::size_t n_bytes, Work& work) const {
  const bool all = options_.byte_fallback && std::all_of(text.begin(), text.end(), [this](char c) {
                     return byte_tokens_[static_cast<unsigned char>(c)] != kNoToken;
                   });
  if (all) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      work.symbols.push_back(static_cast<Symbol>(byte_tokens_[static_cast<unsigned char>(text[i])]));
      work.starts.push_back(static_cast<std::uint32_t>(start + std::min(i, n_bytes - 1)));
    }
  } else if (options_.unknown != kNoToken) {
    work.symbols.push_back(kNoSymbol);
    work.starts.push_back(static_cast<std::uint32_t>(start));
  }
}

// Fills work.symbols and work.starts with the units of piece[begin, end); returns the end, moved to a unit's start.
std::size_t Bpe::start_symbols(std::string_view piece, std::size_t begin, std::size_t end, Work& work) const {
  end = std::min(end, piece.size());
  work.symbols.clear();
  work.starts.clear();
  const auto add = [&](Symbol symbol, std::size_t start, std::string_view text, std::size_t n_bytes) {
    if (options_.settle_unknown_first && symbol >= static_cast<Symbol>(vocabulary_.size())) {
      add_unknown(text, start - begin, n_bytes, work);
      return;
    }
    work.symbols.push_back(symbol);
    work.starts.push_back(static_cast<std::uint32_t>(start - begin));
  };
  std::size_t at = begin;
  if (options_.units == Units::bytes && options_.end_suffix.empty() && options_.continuing_prefix.empty()) {
    for (; at < end; ++at) add(byte_symbols_[static_cast<unsigned char>(piece[at])], at, {}, 1);
  } else {
    while (at < end) {
      const std::size_t n = std::min(unit_length(piece[at]), piece.size() - at);
      std::string_view text = piece.substr(at, n);
      if (options_.units == Units::bytes || !options_.end_suffix.empty() || !options_.continuing_prefix.empty()) {
        work.text.clear();
        if (at > 0) work.text += options_.continuing_prefix;
        work.text += text;
        if (at + n == piece.size()) work.text += options_.end_suffix;
        text = work.text;
      }
      Symbol symbol = find_symbol(text);
      if (symbol != kNoSymbol && symbol < static_cast<Symbol>(vocabulary_.size()) &&
          !may_join(static_cast<TokenId>(symbol))) {
        symbol = kNoSymbol;
      }
      add(symbol, at, text, n);
      at += n;
    }
  }
  work.starts.push_back(static_cast<std::uint32_t>(at - begin));
  return at;
}

void Bpe::merge_few(Work& work) const {
  std::vector<Symbol>& symbols = work.symbols;
  std::size_t n = symbols.size();
  work.ranks.resize(n);
  work.results.resize(n);
  const auto look_up = [&](std::size_t i) {
    const Merge& merge = merges_.find(symbols[i], symbols[i + 1]);
    work.ranks[i] = merge.rank;
    work.results[i] = merge.result;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    const auto lowest = std::min_element(work.ranks.begin(), work.ranks.begin() + static_cast<std::ptrdiff_t>(n - 1));
    if (*lowest == Merge{}.rank) break;
    const auto i = static_cast<std::size_t>(lowest - work.ranks.begin());
    symbols[i] = work.results[i];
    const auto close_gap = [i, n](auto& values) {
      std::copy(values.begin() + static_cast<std::ptrdiff_t>(i + 2), values.begin() + static_cast<std::ptrdiff_t>(n),
                values.begin() + static_cast<std::ptrdiff_t>(i + 1));
    };
    close_gap(symbols);
    std::copy(work.starts.begin() + static_cast<std::ptrdiff_t>(i + 2),
              work.starts.begin() + static_cast<std::ptrdiff_t>(n + 1),
              work.starts.begin() + static_cast<std::ptrdiff_t>(i + 1));
    close_gap(work.ranks);
    close_gap(work.results);
    --n;
    if (i > 0) look_up(i - 1);
    if (i + 1 < n) look_up(i);
  }
  symbols.resize(n);
  work.starts.resize(n + 1);
}

void Bpe::merge_many(Work& work) const {
  std::vector<Symbol>& symbols = work.symbols;
  const auto n = static_cast<std::uint32_t>(symbols.size());
  if (n < 2) return;
  work.next.resize(n);
  work.previous.resize(n);
  work.heap.clear();
  // Merged-away symbols have next == themselves. An entry of the heap holds if the pair still has its rank.
  const auto key_of = [&](std::uint32_t left, std::uint32_t right) {
    return (static_cast<std::uint64_t>(merges_.find(symbols[left], symbols[right]).rank) << 32) | left;
  };
  constexpr std::uint64_t kNoMerge = static_cast<std::uint64_t>(Merge{}.rank) << 32;
  for (std::uint32_t i = 0; i < n; ++i) {
    work.next[i] = i + 1;
    work.previous[i] = i == 0 ? n : i - 1;
    if (i == 0) continue;
    const std::uint64_t key = key_of(i - 1, i);
    if (key < kNoMerge) work.heap.push_back(key);
  }
  std::make_heap(work.heap.begin(), work.heap.end(), std::greater<>());
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    const std::uint64_t key = key_of(left, right);
    if (key >= kNoMerge) return;
    work.heap.push_back(key);
    std::push_heap(work.heap.begin(), work.heap.end(), std::greater<>());
  };
  while (!work.heap.empty()) {
    std::pop_heap(work.heap.begin(), work.heap.end(), std::greater<>());
    const std::uint64_t top = work.heap.back();
    work.heap.pop_back();
    const auto left = static_cast<std::uint32_t>(top);
    const std::uint32_t right = work.next[left];
    if (right == left || right >= n) continue;
    const Merge& merge = merges_.find(symbols[left], symbols[right]);
    if (merge.rank != top >> 32) continue;
    symbols[left] = merge.result;
    const std::uint32_t after = work.next[right];
    work.next[right] = right;
    work.next[left] = after;
    if (after < n) {
      work.previous[after] = left;
      push(left, after);
    }
    if (work.previous[left] < n) push(work.previous[left], left);
  }
  std::size_t kept = 0;
  for (std::uint32_t i = 0; i < n; i = work.next[i]) {
    symbols[kept] = symbols[i];
    work.starts[kept] = work.starts[i];
    ++kept;
  }
  work.starts[kept] = work.starts[n];
  symbols.resize(kept);
  work.starts.resize(kept + 1);
}

void Bpe::emit(Symbol symbol, std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const {
  if (symbol < static_cast<Symbol>(vocabulary_.size())) {
    if (unused_parts_.empty()) {
      out.push_back(static_cast<TokenId>(symbol));
      return;
    }
    // Unused tokens go back to the parts they were joined from.
    std::vector<std::pair<Symbol, std::string_view>> todo = {{symbol, bytes}};
    while (!todo.empty()) {
      const auto [top, text] = todo.back();
      todo.pop_back();
      const auto parts = unused_parts_.find(top);
      if (parts == unused_parts_.end()) {
        if (top < static_cast<Symbol>(vocabulary_.size())) {
          out.push_back(static_cast<TokenId>(top));
        } else {
          emit_bytes(text, first, out);
        }
        continue;
      }
      const auto [left, right] = parts->second;
      const std::size_t cut = left < static_cast<Symbol>(vocabulary_.size())
                                  ? vocabulary_.text(static_cast<TokenId>(left)).size()
                                  : unit_length(text[0]);
      todo.emplace_back(right, text.substr(cut));
      todo.emplace_back(left, text.substr(0, cut));
    }
    return;
  }
  if (options_.units == Units::bytes) {
    for (const char c : bytes) {
      const Symbol byte = byte_symbols_[static_cast<unsigned char>(c)];
      if (byte < static_cast<Symbol>(vocabulary_.size())) {
        out.push_back(static_cast<TokenId>(byte));
      } else {
        emit_unknown(first, out);
      }
    }
    return;
  }
  if (symbol != kNoSymbol) {
    // An inner symbol: character by character.
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t n = std::min(unit_length(bytes[at]), bytes.size() - at);
      const TokenId id = vocabulary_.find(bytes.substr(at, n));
      if (id != kNoToken) {
        out.push_back(id);
      } else {
        emit_bytes(bytes.substr(at, n), first, out);
      }
      at += n;
    }
    return;
  }
  emit_bytes(bytes, first, out);
}

// A character without a token. `first`: where the ids of this piece start.
void Bpe::emit_bytes(std::string_view bytes, std::size_t first, std::vector<TokenId>& out) const {
  const bool all = options_.byte_fallback && std::all_of(bytes.begin(), bytes.end(), [this](char c) {
                     return byte_tokens_[static_cast<unsigned char>(c)] != kNoToken;
                   });
  if (all) {
    for (const char c : bytes) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
  } else {
    emit_unknown(first, out);
  }
}

void Bpe::emit_unknown(std::size_t first, std::vector<TokenId>& out) const {
  if (options_.unknown == kNoToken) return;
  const bool fuses = options_.fuse_unknown && out.size() > first && out.back() == options_.unknown;
  if (!fuses) out.push_back(options_.unknown);
}

}  // namespace llm::tokenizer

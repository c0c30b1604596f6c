#include "tokenizer/special_roles.h"

#include <algorithm>
#include <span>
#include <string_view>

namespace llm::tokenizer {

namespace {

using Texts = std::span<const std::string_view>;

constexpr std::string_view kEndOfTurn[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>",         "<|endoftext|>",     "<|end_of_text|>",
    "<EOT>",      "_<EOT>",     "[EOT]",   "<｜end▁of▁sentence｜>", "<end_of_utterance>"};
constexpr std::string_view kEndOfMessage[] = {"<|eom_id|>"};
// End generation besides the above.
constexpr std::string_view kOtherEnds[] = {"</s>",      "<|return|>", "<|call|>", "<|calls|>",        "<|flush|>",
                                           "<eos>",     "<turn|>",    "[EOS]",    "<|tool_response>", "[e~[",
                                           "<|eom_id|>"};
constexpr std::string_view kFimPrefix[] = {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",    "<｜fim▁begin｜>",
                                           "<PRE>",          "▁<PRE>",       "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view kFimSuffix[] = {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",    "<｜fim▁hole｜>",
                                           "<SUF>",          "▁<SUF>",       "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view kFimMiddle[] = {"<|fim_middle|>", "<fim-middle>", "<fim_middle>",    "<｜fim▁end｜>",
                                           "<MID>",          "▁<MID>",       "<|code_middle|>", "<|middle|>"};
constexpr std::string_view kFimPad[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"};
constexpr std::string_view kFimRepo[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"};
constexpr std::string_view kFimSeparator[] = {"<|file_sep|>"};
// Parts of an answer that are always shown.
constexpr std::string_view kAlwaysShown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

class Roles {
 public:
  Roles(Vocabulary& vocabulary, SpecialTokens& special) : vocabulary_(vocabulary), special_(special) {}

  void assign() {
    find_role(special_.eot, kEndOfTurn);
    find_role(special_.eom, kEndOfMessage);
    find_role(special_.fim_prefix, kFimPrefix);
    find_role(special_.fim_suffix, kFimSuffix);
    find_role(special_.fim_middle, kFimMiddle);
    find_role(special_.fim_pad, kFimPad);
    find_role(special_.fim_repo, kFimRepo);
    find_role(special_.fim_separator, kFimSeparator);
    for (const auto& role : {special_.fim_pad, special_.fim_repo, special_.fim_separator}) add_end(role);
    for (const Texts texts : {Texts(kEndOfTurn), Texts(kOtherEnds)}) {
      for (const std::string_view text : texts) {
        const TokenId id = vocabulary_.find(text);
        if (id == kNoToken) continue;
        add_end(id);
        vocabulary_.set_kind(id, TokenKind::control);
      }
    }
    for (const std::string_view text : kAlwaysShown) {
      if (has(text)) vocabulary_.set_kind(vocabulary_.find(text), TokenKind::user_defined);
    }
    for (const auto& role : {special_.eos, special_.eot, special_.eom}) add_end(role);
    if ((has("<|return|>") && (has("<|call|>") || has("<|calls|>"))) ||
        (has("<|flush|>") && (has("<|call|>") || has("<|calls|>")))) {
      remove_end("<|end|>", TokenKind::user_defined);
    }
    if (has("<|tool_response>") || has("<|plamo:eos|>")) remove_end("</s>", TokenKind::normal);
    std::vector<TokenId>& ends = special_.end_of_generation;
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  }

 private:
  bool has(std::string_view text) const { return vocabulary_.find(text) != kNoToken; }

  void find_role(std::optional<TokenId>& role, Texts texts) {
    for (const std::string_view text : texts) {
      if (role) return;
      const TokenId id = vocabulary_.find(text);
      if (id == kNoToken) continue;
      role = id;
      vocabulary_.set_kind(id, TokenKind::control);
    }
  }

  void add_end(std::optional<TokenId> id) {
    if (id) special_.end_of_generation.push_back(*id);
  }

  void remove_end(std::string_view text, TokenKind kind) {
    const TokenId id = vocabulary_.find(text);
    if (id == kNoToken) return;
    std::erase(special_.end_of_generation, id);
    vocabulary_.set_kind(id, kind);
  }

  Vocabulary& vocabulary_;
  SpecialTokens& special_;
};

}  // namespace

void assign_roles_by_text(Vocabulary& vocabulary, SpecialTokens& special) {
  Roles(vocabulary, special).assign();
}

void assign_roles_keeping_kinds(Vocabulary& vocabulary, SpecialTokens& special) {
  std::vector<TokenKind> kinds;
  kinds.reserve(static_cast<std::size_t>(vocabulary.size()));
  for (TokenId id = 0; id < vocabulary.size(); ++id) kinds.push_back(vocabulary.kind(id));
  assign_roles_by_text(vocabulary, special);
  for (TokenId id = 0; id < vocabulary.size(); ++id) vocabulary.set_kind(id, kinds[static_cast<std::size_t>(id)]);
}

}  // namespace llm::tokenizer

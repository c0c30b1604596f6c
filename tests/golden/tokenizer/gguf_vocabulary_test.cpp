#include <set>

#include "case_files.h"

namespace llm::testing {
namespace {

class GgufVocabulary : public ::testing::TestWithParam<std::string> {};

// The notes under which two answers count, or none is given.
const std::set<std::string> kEitherNotes = {"nfc", "nfc-unsure", "promoted", "unigram-tie"};

// Bytes that are not UTF-8: a byte-level vocabulary with a token for every byte keeps them, so that decoding gives them
// back; the reference replaces them by U+FFFD, which cannot be undone.
bool is_reversible_instead(const json& c, const std::string& name) {
  return c.contains("bytes_hex") && (name == "gpt-2" || name == "llama-bpe" || name == "qwen2");
}

TEST_P(GgufVocabulary, GivesTheReferenceIdsAndBytes) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = Tokenizer::open(reference("ggml-vocab-" + name + ".gguf"));
  int n = 0;
  for (const json& c : read_json(name + ".cases.json")) {
    const std::string text = case_text(c);
    SCOPED_TRACE(c.value("group", "") + " " + printable(text) + " " + c.value("note", ""));
    const Ids plain = tokenizer.encode(text);
    const Ids special = tokenizer.encode(text, {.add_special = true, .parse_special = true});
    if (!c.contains("ids")) continue;
    ++n;
    if (is_reversible_instead(c, name)) {
      EXPECT_EQ(printable(tokenizer.decode(plain)), printable(text));
      continue;
    }
    // Unigram with byte pieces: llama.cpp never falls back to them, SentencePiece does, for U+FFFD too.
    if (c.contains("bytes_hex") && name == "tiny-t5-user") continue;
    const bool either = kEitherNotes.contains(note_key(c));
    const auto expect = [&](const Ids& ids, const std::string& field) {
      const Ids wanted = c[field];
      const std::string other = field == "ids" ? "llama_cpp_ids" : "llama_cpp_ids_special";
      if (either && c.contains(other) && ids == c[other].get<Ids>()) return;
      EXPECT_EQ(fmt::format("{}", fmt::join(ids, " ")), fmt::format("{}", fmt::join(wanted, " "))) << field;
    };
    expect(plain, "ids");
    // Of the noted differences in unigram vocabularies only the plain ids are SentencePiece's.
    if (!note_key(c).starts_with("ugm-")) expect(special, "ids_special");
    const Ids decoded_ids = c.value("llama_cpp_ids", c["ids"].get<Ids>());
    const std::string decoded = tokenizer.decode(decoded_ids, true);
    EXPECT_EQ(printable(decoded), printable(from_hex(c["decoded_hex"]))) << "decoded";
    expect_incremental(tokenizer, decoded_ids, true, decoded);
  }
  EXPECT_GT(n, 100);
}

TEST_P(GgufVocabulary, KnowsTheSpecialTokens) {
  const std::string name = GetParam();
  const Tokenizer tokenizer = Tokenizer::open(reference("ggml-vocab-" + name + ".gguf"));
  const json meta = read_json(name + ".meta.json");
  const SpecialTokens& special = tokenizer.special();
  EXPECT_EQ(tokenizer.n_vocab(), meta["n_tokens"]);
  EXPECT_EQ(special.bos.value_or(-1), meta["bos"]);
  EXPECT_EQ(special.eos.value_or(-1), meta["eos"]);
  EXPECT_EQ(special.eot.value_or(-1), meta["eot"]);
  EXPECT_EQ(special.sep.value_or(-1), meta["sep"]);
  EXPECT_EQ(special.pad.value_or(-1), meta["pad"]);
  EXPECT_EQ(special.mask.value_or(-1), meta["mask"]);
  EXPECT_EQ(special.fim_prefix.value_or(-1), meta["fim_pre"]);
  EXPECT_EQ(special.fim_suffix.value_or(-1), meta["fim_suf"]);
  EXPECT_EQ(special.fim_middle.value_or(-1), meta["fim_mid"]);
  EXPECT_EQ(special.fim_pad.value_or(-1), meta["fim_pad"]);
  EXPECT_EQ(special.fim_repo.value_or(-1), meta["fim_rep"]);
  EXPECT_EQ(special.fim_separator.value_or(-1), meta["fim_sep"]);
  EXPECT_EQ(special.add_bos, meta["add_bos"]);
  EXPECT_EQ(special.add_eos, meta["add_eos"]);
  EXPECT_EQ(special.add_sep, meta["add_sep"]);
  EXPECT_EQ(special.end_of_generation, meta["eog"].get<Ids>());
}

INSTANTIATE_TEST_SUITE_P(All, GgufVocabulary,
                         ::testing::Values("gpt-2", "llama-bpe", "qwen2", "deepseek-coder", "falcon", "llama-spm",
                                           "phi-3", "tiny-llama-noprefix", "tiny-gemma4", "bert-bge", "tiny-bert-cased",
                                           "tiny-t5", "tiny-t5-user"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llm::testing

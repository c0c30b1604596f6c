// Field numbers: sentencepiece_model.proto of SentencePiece.
#include <fmt/format.h>

#include <memory>

#include "formats/quote.h"
#include "tokenizer/piece_pipeline.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special_roles.h"
#include "tokenizer/vocabulary_files.h"

namespace llm::tokenizer {

namespace {

struct TrainerSpec {
  int model_type = 1;
  bool whitespace_as_suffix = false;
  bool byte_fallback = false;
  std::int32_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  std::string unk_surface = " \u2047 ";
};

class SentencePieceFile {
 public:
  SentencePieceFile(std::string_view bytes, const std::string& source)
      : source_(source), impl_(std::make_unique<Tokenizer::Impl>()) {
    impl_->vocabulary.reserve(bytes.size() / 16, bytes.size());
    ProtobufReader model(bytes, source_);
    while (const auto field = model.next()) {
      if (field->wire_type != 2) continue;
      if (field->number == 1) read_piece(field->bytes);
      if (field->number == 2) read_trainer(field->bytes);
      if (field->number == 3) read_normalizer(field->bytes);
    }
  }

  Tokenizer make() {
    Vocabulary& vocabulary = impl_->vocabulary;
    if (vocabulary.size() == 0) throw Error(ErrorCode::model, source_ + ": no pieces, expected a SentencePiece model");
    const TokenId duplicate = vocabulary.build_index();
    if (duplicate != kNoToken) {
      throw Error(ErrorCode::model, fmt::format("{}: piece {} stands twice, the second time as {}", source_,
                                                formats::quote(vocabulary.text(duplicate)), duplicate));
    }
    if (trainer_.model_type < 1 || trainer_.model_type > 4) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: trainer_spec.model_type {}, expected 1 to 4", source_, trainer_.model_type));
    }
    find_specials();
    const auto kind = static_cast<SentencePieceKind>(trainer_.model_type);
    options_.model =
        make_sentencepiece_model(vocabulary, kind, impl_->special.unk.value_or(kNoToken), trainer_.byte_fallback);
    options_.spelling = Spelling::escaped;
    options_.drop_first_space = normalizer_.add_dummy_prefix || normalizer_.remove_extra_whitespaces;
    options_.drop_all_first_spaces = normalizer_.remove_extra_whitespaces;
    options_.respell_user_defined = true;
    options_.unknown_text = trainer_.unk_surface;
    options_.fuse = impl_->special.unk.value_or(kNoToken);
    normalizer_.whitespace_as_suffix = trainer_.whitespace_as_suffix;
    options_.normalizer = [normalizer = std::make_shared<SentencePieceNormalizer>(std::move(normalizer_))](
                              std::string_view text, bool) { return normalizer->normalize(text); };
    constexpr std::string_view kNames[] = {"unigram", "BPE", "word", "character"};
    impl_->description = fmt::format("SentencePiece {}", kNames[trainer_.model_type - 1]);
    assign_roles_keeping_kinds(vocabulary, impl_->special);
    impl_->pipeline = std::make_unique<PiecePipeline>(vocabulary, std::move(options_));
    return Tokenizer(std::move(impl_));
  }

 private:
  void read_piece(std::string_view bytes) {
    std::string_view text;
    float score = 0;
    int type = 1;
    ProtobufReader piece(bytes, source_);
    while (const auto field = piece.next()) {
      if (field->number == 1 && field->wire_type == 2) text = field->bytes;
      if (field->number == 2 && field->wire_type == 5) score = field->as_float();
      if (field->number == 3 && field->wire_type == 0) type = field->as_int();
    }
    const bool known = type >= 1 && type <= 6;
    impl_->vocabulary.add(text, known ? static_cast<TokenKind>(type) : TokenKind::undefined, score);
  }

  void read_trainer(std::string_view bytes) {
    ProtobufReader trainer(bytes, source_);
    while (const auto field = trainer.next()) {
      switch (field->number) {
        case 3:
          trainer_.model_type = field->as_int();
          break;
        case 24:
          trainer_.whitespace_as_suffix = field->as_bool();
          break;
        case 35:
          trainer_.byte_fallback = field->as_bool();
          break;
        case 40:
          trainer_.unk_id = field->as_int();
          break;
        case 41:
          trainer_.bos_id = field->as_int();
          break;
        case 42:
          trainer_.eos_id = field->as_int();
          break;
        case 43:
          trainer_.pad_id = field->as_int();
          break;
        case 44:
          trainer_.unk_surface = field->bytes;
          break;
        default:
          break;
      }
    }
  }

  void read_normalizer(std::string_view bytes) {
    ProtobufReader normalizer(bytes, source_);
    while (const auto field = normalizer.next()) {
      switch (field->number) {
        case 2:
          normalizer_.map = CharacterMap(field->bytes, source_);
          break;
        case 3:
          normalizer_.add_dummy_prefix = field->as_bool();
          break;
        case 4:
          normalizer_.remove_extra_whitespaces = field->as_bool();
          break;
        case 5:
          normalizer_.escape_whitespaces = field->as_bool();
          break;
        default:
          break;
      }
    }
  }

  void find_specials() {
    const Vocabulary& vocabulary = impl_->vocabulary;
    SpecialTokens& special = impl_->special;
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      const TokenKind kind = vocabulary.kind(id);
      if (kind == TokenKind::unknown && !special.unk) special.unk = id;
      if (kind == TokenKind::user_defined) normalizer_.user_defined.add(vocabulary.text(id), id, true);
      if (kind == TokenKind::control || kind == TokenKind::unknown) {
        options_.specials.add(vocabulary.text(id), id, false);
      }
    }
    const auto control = [&](std::int32_t id) -> std::optional<TokenId> {
      if (!vocabulary.contains(id) || vocabulary.kind(id) != TokenKind::control) return std::nullopt;
      return id;
    };
    special.bos = control(trainer_.bos_id);
    special.eos = control(trainer_.eos_id);
    special.pad = control(trainer_.pad_id);
    // A model does not say which tokens go around a text; LLaMA's way is the start token alone.
    special.add_bos = special.bos.has_value();
    if (special.bos) options_.before.push_back(*special.bos);
  }

  std::string source_;
  std::unique_ptr<Tokenizer::Impl> impl_;
  TrainerSpec trainer_;
  SentencePieceNormalizer::Options normalizer_;
  PiecePipeline::Options options_;
};

}  // namespace

Tokenizer make_sentencepiece_tokenizer(std::string_view bytes, const std::string& source) {
  return SentencePieceFile(bytes, source).make();
}

}  // namespace llm::tokenizer

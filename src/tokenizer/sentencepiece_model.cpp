// Field numbers: sentencepiece_model.proto of SentencePiece.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "formats/quote.h"
#include "tokenizer/numbered_pieces.h"
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

// The pieces of one vocabulary with the ids of another.
class NumberedModel : public Model {
 public:
  NumberedModel(std::unique_ptr<const Vocabulary> pieces, std::unique_ptr<const Model> model,
                std::vector<TokenId> numbers, TokenId unknown_piece)
      : pieces_(std::move(pieces)),
        model_(std::move(model)),
        numbers_(std::move(numbers)),
        unknown_piece_(unknown_piece) {}

  std::unique_ptr<Scratch> make_scratch() const override {
    auto work = std::make_unique<Work>();
    work->inner = model_->make_scratch();
    return work;
  }
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const override {
    Work& work = static_cast<Work&>(scratch);
    work.ids.clear();
    model_->encode(piece, *work.inner, work.ids);
    TokenId last = kNoToken;
    for (const TokenId id : work.ids) {
      // Neighbouring unknown pieces are one; two pieces without a number of their own are two.
      if (id != unknown_piece_ || id != last) out.push_back(numbers_[static_cast<std::size_t>(id)]);
      last = id;
    }
  }

 private:
  struct Work : Scratch {
    std::unique_ptr<Scratch> inner;
    std::vector<TokenId> ids;
  };
  std::unique_ptr<const Vocabulary> pieces_;  // what the model was made with
  std::unique_ptr<const Model> model_;
  std::vector<TokenId> numbers_;  // [pieces]
  TokenId unknown_piece_;
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
    check();
    find_specials();
    set_model(impl_->vocabulary, impl_->special.unk.value_or(kNoToken));
    assign_roles_keeping_kinds(impl_->vocabulary, impl_->special);
    return finish();
  }

  Tokenizer make_numbered(PieceNumbering numbering) {
    check();
    auto pieces = std::make_unique<Vocabulary>(std::move(impl_->vocabulary));
    impl_->vocabulary = {};
    Vocabulary& vocabulary = impl_->vocabulary;
    for (const PieceNumbering::Token& token : numbering.tokens) {
      const TokenId id = vocabulary.add(token.text, token.text.empty() ? TokenKind::unused : token.kind, token.score);
      if (token.kind == TokenKind::control || token.kind == TokenKind::unknown) {
        options_.specials.add(token.text, id, token.always);
      }
    }
    vocabulary.build_index();
    TokenId unknown_piece = kNoToken;
    std::vector<TokenId> numbers;
    for (TokenId id = 0; id < pieces->size(); ++id) {
      const TokenKind kind = pieces->kind(id);
      if (kind == TokenKind::unknown) unknown_piece = id;
      if (kind == TokenKind::user_defined) normalizer_.user_defined.add(pieces->text(id), id, true);
      const TokenId number = kind == TokenKind::unknown ? kNoToken : vocabulary.find(pieces->text(id));
      numbers.push_back(number == kNoToken ? numbering.unknown : number);
    }
    const auto role = [](TokenId id) { return id == kNoToken ? std::nullopt : std::optional(id); };
    SpecialTokens& special = impl_->special;
    special.unk = role(numbering.unknown);
    special.eos = role(numbering.eos);
    special.bos = role(numbering.bos);
    special.pad = role(numbering.pad);
    special.end_of_generation = {numbering.eos};
    special.add_eos = !numbering.after.empty();
    options_.before = std::move(numbering.before);
    options_.after = std::move(numbering.after);
    set_model(*pieces, unknown_piece);
    options_.model = std::make_unique<NumberedModel>(std::move(pieces), std::move(options_.model), std::move(numbers),
                                                     unknown_piece);
    options_.fuse = kNoToken;
    options_.unknown_text.clear();
    impl_->description += fmt::format(" ({})", numbering.name);
    return finish();
  }

  std::vector<PieceNumbering::Token> pieces() const {
    std::vector<PieceNumbering::Token> pieces;
    const Vocabulary& vocabulary = impl_->vocabulary;
    pieces.reserve(static_cast<std::size_t>(vocabulary.size()));
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      pieces.push_back({std::string(vocabulary.text(id)), vocabulary.kind(id), false, vocabulary.score(id)});
    }
    return pieces;
  }

 private:
  void check() {
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
  }

  // The algorithm over the pieces, and what is done to a text before it.
  void set_model(const Vocabulary& pieces, TokenId unknown) {
    const auto kind = static_cast<SentencePieceKind>(trainer_.model_type);
    options_.model = make_sentencepiece_model(pieces, kind, unknown, trainer_.byte_fallback);
    options_.spelling = Spelling::escaped;
    options_.drop_first_space = normalizer_.add_dummy_prefix || normalizer_.remove_extra_whitespaces;
    options_.drop_all_first_spaces = normalizer_.remove_extra_whitespaces;
    options_.respell_user_defined = true;
    options_.unknown_text = trainer_.unk_surface;
    options_.fuse = unknown;
    normalizer_.whitespace_as_suffix = trainer_.whitespace_as_suffix;
    options_.normalizer = [normalizer = std::make_shared<SentencePieceNormalizer>(std::move(normalizer_))](
                              std::string_view text, bool) { return normalizer->normalize(text); };
    constexpr std::string_view kNames[] = {"unigram", "BPE", "word", "character"};
    impl_->description = fmt::format("SentencePiece {}", kNames[trainer_.model_type - 1]);
  }

  Tokenizer finish() {
    impl_->pipeline = std::make_unique<PiecePipeline>(impl_->vocabulary, std::move(options_));
    return Tokenizer(std::move(impl_));
  }

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

Tokenizer make_numbered_tokenizer(std::string_view sentencepiece, PieceNumbering numbering, const std::string& source) {
  return SentencePieceFile(sentencepiece, source).make_numbered(std::move(numbering));
}

std::vector<PieceNumbering::Token> read_pieces(std::string_view sentencepiece, const std::string& source) {
  return SentencePieceFile(sentencepiece, source).pieces();
}

}  // namespace llm::tokenizer

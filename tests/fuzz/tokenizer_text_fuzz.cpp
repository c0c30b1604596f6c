// Cuts foreign text by every pre-tokenizer, and normalises it: no piece is lost or empty, nothing runs away.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tokenizer/bert_text.h"
#include "tokenizer/pretokenizer_table.h"
#include "tokenizer/unicode.h"

namespace {

class Concatenation : public llm::tokenizer::PieceSink {
 public:
  explicit Concatenation(std::string_view text) : rest_(text) {}
  void piece(std::string_view text) override {
    if (text.empty() || text.data() != rest_.data() || text.size() > rest_.size()) std::abort();
    rest_.remove_prefix(text.size());
  }
  bool complete() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llm::tokenizer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (int i = 0; i <= static_cast<int>(SplitRule::lines); ++i) {
    Concatenation pieces(text);
    make_splitter(static_cast<SplitRule>(i)).split(text, pieces);
    if (!pieces.complete()) std::abort();
  }
  for (const NormalForm form : {NormalForm::nfc, NormalForm::nfd, NormalForm::nfkc, NormalForm::nfkd}) {
    (void)normalize(text, form);
  }
  (void)bert_normalize(text, {});
  return 0;
}

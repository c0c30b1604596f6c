#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <llm/error.hpp>

#include "base/utf8.h"
#include "formats/quote.h"
#include "tokenizer/regex_splitter.h"
#include "tokenizer/regex_translator.h"

namespace llm::tokenizer {

namespace {

constexpr std::uint32_t kMatchLimit = 50'000'000;  // steps of one match
constexpr std::uint32_t kHeapLimit = 256 * 1024;   // KiB

template <auto function>
struct Free {
  template <typename T>
  void operator()(T* p) const {
    function(p);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR8 text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Impl {
  std::string pattern, source;
  Code code;
};

Regex::Regex(std::string_view pattern, std::string_view source) {
  auto impl = std::make_unique<Impl>();
  impl->pattern = pattern;
  impl->source = source;
  const std::string translated = translate_regex(pattern, source);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  impl->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, context.get()));
  if (impl->code == nullptr) {
    throw Error(ErrorCode::model,
                fmt::format("{}: regular expression {}: {}", source, formats::quote(pattern), message_of(error)));
  }
  // Without the compiler PCRE2 interprets.
  pcre2_jit_compile(impl->code.get(), PCRE2_JIT_COMPLETE);
  impl_ = std::move(impl);
}

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

void Regex::for_each_match(std::string_view text, const std::function<void(Match)>& found) const {
  // Valid stretches by themselves: PCRE2 is told not to look at the whole text again for every match.
  const char* end = text.data() + text.size();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.data() + at, end);
    if (!c.valid) {
      if (at > begin) match_valid(text.substr(begin, at - begin), begin, found);
      begin = at + 1;
    }
    at += c.length;
  }
  if (begin < text.size() || text.empty()) match_valid(text.substr(begin), begin, found);
}

void Regex::match_valid(std::string_view text, std::size_t offset, const std::function<void(Match)>& found) const {
  const MatchContext context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  const MatchData data(pcre2_match_data_create_from_pattern(impl_->code.get(), nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match_from = [&](std::size_t at, std::uint32_t options) {
    return pcre2_match(impl_->code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | options, data.get(),
                       context.get());
  };
  std::size_t at = 0;
  std::optional<std::size_t> last_end;
  while (at <= text.size()) {
    int result = match_from(at, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match_from(at, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      throw Error(ErrorCode::model,
                  fmt::format("{}: regular expression {}: {} at byte {} of a text of {} bytes", impl_->source,
                              formats::quote(impl_->pattern), message_of(result), at, text.size()));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const Match match{ends[0], ends[1]};
    if (match.end < match.begin) return;  // \K behind a lookahead
    if (match.begin == match.end && last_end == match.end) {
      if (at >= text.size()) return;
      at += decode_utf8(text.data() + at, text.data() + text.size()).length;
      continue;
    }
    found({offset + match.begin, offset + match.end});
    at = match.end;
    last_end = match.end;
  }
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string out;
  std::size_t done = 0;
  for_each_match(text, [&](Match match) {
    out.append(text.substr(done, match.begin - done));
    out.append(replacement);
    done = match.end;
  });
  out.append(text.substr(done));
  return out;
}

}  // namespace llm::tokenizer

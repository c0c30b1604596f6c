#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <llm/model.hpp>

#include "api/available_memory.h"
#include "api/generation_defaults.h"
#include "api/model_impl.h"
#include "api/run_options.h"

namespace llm {
inline namespace v1 {

namespace {

// A vocabulary may be smaller than the model's output: the rest are ids without text.
// `ends`: tokens besides the vocabulary's own that end an answer. The tokenizer must live as long as the table.
std::unique_ptr<sampling::TokenTable> token_table(const std::optional<Tokenizer>& tokenizer, std::int32_t n_vocab,
                                                  std::vector<TokenId> ends) {
  std::erase_if(ends, [&](TokenId id) { return id >= n_vocab; });
  if (!tokenizer) {
    return std::make_unique<sampling::TokenTable>(
        n_vocab, [](TokenId) { return std::string_view(); }, ends);
  }
  for (const TokenId id : tokenizer->special().end_of_generation) {
    if (id < n_vocab) ends.push_back(id);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  return std::make_unique<sampling::TokenTable>(
      n_vocab,
      [&tokenizer](TokenId id) {
        if (id >= tokenizer->n_vocab()) return std::string_view();
        const TokenKind kind = tokenizer->token_kind(id);
        const bool has_text = kind == TokenKind::normal || kind == TokenKind::user_defined || kind == TokenKind::byte;
        return has_text ? tokenizer->token_bytes(id) : std::string_view();
      },
      ends);
}

std::vector<model::Adapter> open_adapters(const std::vector<LoraAdapter>& wanted) {
  std::vector<model::Adapter> adapters;
  for (const LoraAdapter& lora : wanted) {
    if (!std::isfinite(lora.scale)) {
      throw Error(ErrorCode::usage, fmt::format("{}: scale {}, expected a finite number", lora.path, lora.scale));
    }
    adapters.push_back({formats::AdapterFile::open(lora.path), lora.scale});
  }
  return adapters;
}

}  // namespace

Model::Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Model Model::load(const std::string& path, const LoadOptions& options) {
  std::unique_ptr<formats::WeightsFile> file =
      formats::WeightsFile::open(path, {.mmap = options.mmap, .mlock = options.mlock});
  const std::uint64_t available = api::available_memory();
  if (file->file_bytes() > available) {
    throw Error(ErrorCode::memory, fmt::format("{}: the weights take {} MB, expected at most {} MB, which is what is "
                                               "available",
                                               path, file->file_bytes() / 1'000'000, available / 1'000'000));
  }
  std::vector<model::Adapter> adapters = open_adapters(options.lora);
  const auto report = [&](float fraction) {
    if (options.progress && !options.progress(fraction)) {
      throw Error(ErrorCode::cancelled, fmt::format("{}: loading was cancelled", path));
    }
  };
  report(0);
  auto impl = std::make_shared<Impl>();
  impl->log = options.log;
  // Names and shapes are checked before gigabytes are read.
  const bool reads = !options.mmap || options.mlock || options.progress;
  if (reads) {
    model::Model::describe(*file, adapters);
    file->load([&](std::uint64_t done, std::uint64_t total) {
      if (!options.progress) return true;
      return options.progress(0.95f * static_cast<float>(done) / static_cast<float>(std::max<std::uint64_t>(total, 1)));
    });
  }
  impl->model = model::Model::load(std::move(file), std::move(adapters));
  impl->held_bytes = impl->model->converted_bytes() + (options.mmap ? 0 : impl->model->file().file_bytes());
  report(0.97f);
  impl->tokenizer = api::open_tokenizer(impl->model->file());
  const bool is_encoder_decoder = impl->model->spec().kind == model::ModelKind::encoder_decoder;
  api::GenerationFile generation = api::generation_file(impl->model->file(), is_encoder_decoder);
  impl->tokens = token_table(impl->tokenizer, impl->model->spec().n_vocab, std::move(generation.end_tokens));
  impl->generation = std::move(generation.defaults);
  impl->embedding_head = api::read_embedding_head(impl->model->file(), impl->model->spec().n_embd);
  impl->info = api::model_info(*impl->model, impl->embedding_head);
  if (impl->tokenizer) impl->info.tokenizer = impl->tokenizer->description();
  impl->chat_templates = api::chat_templates(impl->model->file());
  for (const std::string& key : impl->info.unused_keys) impl->say(LogLevel::debug, fmt::format("unused key {}", key));
  for (const std::string& name : impl->info.unused_tensors) {
    impl->say(LogLevel::warning, fmt::format("unused tensor {}", name));
  }
  report(1);
  return Model(std::move(impl));
}

const ModelInfo& Model::info() const {
  return impl_->info;
}

const GenerationDefaults& Model::generation_defaults() const {
  return impl_->generation;
}

const Tokenizer* Model::tokenizer() const {
  return impl_->tokenizer ? &*impl_->tokenizer : nullptr;
}

std::optional<std::string> Model::chat_template(std::string_view name) const {
  const auto found = impl_->chat_templates.find(name);
  return found == impl_->chat_templates.end() ? std::nullopt : std::optional(found->second);
}

MemoryPlan Model::plan(std::int64_t n_context, KvType kv_type, int n_sequences) const {
  const EngineOptions options{.n_context = n_context, .kv_type = kv_type, .max_sequences = n_sequences};
  return api::resolve(*impl_->model, options, api::available_memory() + impl_->held_bytes).memory;
}

ModelInfo inspect(const std::string& path) {
  const std::unique_ptr<formats::WeightsFile> file = formats::WeightsFile::open(path);
  try {
    const auto described = model::Model::describe(*file);
    return api::model_info(*described, api::read_embedding_head(*file, described->spec().n_embd));
  } catch (const Error&) {
    return api::model_info(*file);
  }
}

MemoryPlan plan_memory(const std::string& path, std::int64_t n_context, KvType kv_type, int n_sequences) {
  const std::unique_ptr<formats::WeightsFile> file = formats::WeightsFile::open(path);
  const std::unique_ptr<model::Model> model = model::Model::describe(*file);
  const EngineOptions options{.n_context = n_context, .kv_type = kv_type, .max_sequences = n_sequences};
  return api::resolve(*model, options, api::available_memory()).memory;
}

}  // namespace v1
}  // namespace llm

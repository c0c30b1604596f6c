#include <fmt/format.h>

#include <memory>

#include "console.h"
#include "options.h"
#include "program.h"
#include "report.h"

namespace llmgen {

namespace {

using nlohmann::ordered_json;

struct InspectFlags {
  std::string path;
  std::int64_t context = 0;
  std::string kv_type = "f16";
  bool json = false;
};

ordered_json to_json(const llm::ModelInfo& info, const llm::MemoryPlan& plan, std::int64_t context) {
  ordered_json types = ordered_json::array();
  for (const auto& share : info.types) {
    types.push_back({{"type", share.type}, {"tensors", share.n_tensors}, {"bytes", share.bytes}});
  }
  return {{"architecture", info.architecture},
          {"name", info.name},
          {"container", info.container},
          {"parameters", info.n_params},
          {"layers", info.n_layer},
          {"encoder_layers", info.n_encoder_layer},
          {"embedding_length", info.n_embd},
          {"heads", info.n_head},
          {"kv_heads", info.n_head_kv},
          {"vocabulary", info.n_vocab},
          {"context", info.n_context_train},
          {"file_bytes", info.file_bytes},
          {"types", types},
          {"tokenizer", info.tokenizer.empty() ? ordered_json() : ordered_json(info.tokenizer)},
          {"chat_template", info.chat_template.empty() ? ordered_json() : ordered_json(info.chat_template)},
          {"memory",
           {{"context", context},
            {"weights", plan.weights},
            {"state", plan.state},
            {"activations", plan.activations},
            {"total", plan.total},
            {"available", plan.available}}}};
}

std::string count(std::int64_t n) {
  if (n >= 1'000'000'000) return fmt::format("{:.2f} billion", static_cast<double>(n) / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} million", static_cast<double>(n) / 1e6);
  return fmt::format("{}", n);
}

void print(Output& out, const llm::ModelInfo& info, const llm::MemoryPlan& plan, std::int64_t context) {
  const auto row = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out.text(fmt::format("{:<16}{}\n", name, value));
  };
  row("architecture", fmt::format("{} ({})", info.architecture, info.container));
  row("name", info.name);
  row("parameters", count(info.n_params));
  const std::string layers = info.n_encoder_layer > 0 ? fmt::format("{} layers of the encoder, {} of the decoder",
                                                                    info.n_encoder_layer, info.n_layer)
                                                      : fmt::format("{} layers", info.n_layer);
  row("shape",
      fmt::format("{}, {} wide, {} heads, {} of keys and values", layers, info.n_embd, info.n_head, info.n_head_kv));
  row("context", fmt::format("{} tokens", info.n_context_train));
  row("vocabulary",
      fmt::format("{} tokens{}", info.n_vocab, info.tokenizer.empty() ? ", no tokenizer" : ", " + info.tokenizer));
  std::string types;
  for (const auto& share : info.types) {
    types +=
        fmt::format("{}{} {} ({})", types.empty() ? "" : ", ", share.n_tensors, share.type, format_bytes(share.bytes));
  }
  row("types", types);
  std::string chat = "none";
  if (!info.chat_template.empty()) chat = fmt::format("{} characters", info.chat_template.size());
  row("chat template", chat);
  row("file", format_bytes(info.file_bytes));
  row("memory", fmt::format("{} with a context of {}: weights {}, keys and values {}, activations {} (free: {})",
                            format_bytes(plan.total), context, format_bytes(plan.weights), format_bytes(plan.state),
                            format_bytes(plan.activations), format_bytes(plan.available)));
}

int run_inspect(const InspectFlags& flags) {
  if (flags.path.empty()) throw llm::Error(llm::ErrorCode::usage, "no file given: llmgen inspect FILE");
  const llm::ModelInfo info = llm::inspect(flags.path);
  const std::int64_t context = flags.context > 0 ? flags.context : info.n_context_train;
  const llm::MemoryPlan plan = llm::plan_memory(flags.path, context, parse_kv_type(flags.kv_type));
  Output out;
  if (flags.json) {
    out.line(dump(to_json(info, plan, context)));
  } else {
    print(out, info, plan, context);
  }
  out.flush();
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand("inspect", "Show what a model file holds and how much memory it takes");
  command->add_option("file,-m,--model", flags->path, "Model")->envname("LLMGEN_MODEL");
  command
      ->add_option("-c,--context,--ctx-size", flags->context, "Context to plan memory for; 0: as the model was trained")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31));
  command->add_option("--kv-type", flags->kv_type, "Type of keys and values: f32, f16, bf16, q8_0 or q4_0")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0"}))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object");
  command->callback([&program, flags] {
    program.json_errors = flags->json;
    program.run = [flags] { return run_inspect(*flags); };
  });
}

}  // namespace llmgen

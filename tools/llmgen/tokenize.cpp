#include <fmt/format.h>

#include <iostream>
#include <istream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "console.h"
#include "options.h"
#include "program.h"
#include "prompt.h"
#include "report.h"

namespace llmgen {

namespace {

using llm::Error;
using llm::ErrorCode;
using nlohmann::json;
using nlohmann::ordered_json;

struct TokenizeFlags {
  std::string model;
  PromptFlags prompt;
  bool add_special = false, ids_only = false, json = false, jsonl = false;
  bool special = false;  // detokenize: show control tokens
};

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string unhex(const std::string& text, std::size_t line) {
  if (text.size() % 2 != 0 || text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    throw Error(ErrorCode::io, fmt::format("line {}: bytes_hex: expected pairs of hexadecimal digits", line));
  }
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2)
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}

// Runs `work` on every line of standard input (or of --file) that is a JSON object.
template <class Work>
void for_each_object(const PromptFlags& prompt, Work work) {
  const std::string input = prompt.file.empty() ? std::string() : read_text(prompt.file);
  std::istringstream file(input);
  std::istream& in = prompt.file.empty() ? std::cin : static_cast<std::istream&>(file);
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) throw Error(ErrorCode::io, fmt::format("line {}: found no JSON object", number));
    work(object, number);
  }
}

void print_table(Output& out, const llm::Tokenizer& tokenizer, const std::vector<llm::TokenId>& ids) {
  for (const llm::TokenId id : ids) {
    const std::string piece =
        json(std::string(tokenizer.token_text(id))).dump(-1, ' ', false, json::error_handler_t::replace);
    out.line(fmt::format("{:>8}  {:<24}  {}", id, piece, hex(tokenizer.token_bytes(id))));
  }
}

// In one line, written in parts: the texts of many ids are larger than the ids.
void print_ids(Output& out, const std::vector<llm::TokenId>& ids) {
  constexpr std::size_t kPart = 1 << 16;
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) text += ' ';
    fmt::format_to(std::back_inserter(text), "{}", ids[i]);
    if (text.size() < kPart) continue;
    out.text(text);
    out.flush();
    text.clear();
  }
  out.line(text);
}

llm::Tokenizer open_tokenizer(const TokenizeFlags& flags) {
  if (flags.model.empty()) throw Error(ErrorCode::usage, "no model given: use -m FILE or set LLMGEN_MODEL");
  return llm::Tokenizer::open(flags.model);
}

int run_tokenize(const CLI::App& app, const TokenizeFlags& flags) {
  const llm::Tokenizer tokenizer = open_tokenizer(flags);
  const llm::EncodeOptions options{.add_special = flags.add_special, .parse_special = flags.prompt.parse_special};
  Output out;
  if (flags.jsonl) {
    for_each_object(flags.prompt, [&](const json& object, std::size_t line) {
      const bool is_hex = object.contains("bytes_hex");
      const json& value = is_hex ? object["bytes_hex"] : object.value("text", json());
      if (!value.is_string())
        throw Error(ErrorCode::io, fmt::format("line {}: expected \"text\" or \"bytes_hex\" as a string", line));
      const auto text = value.get<std::string>();
      out.line(json({{"ids", tokenizer.encode(is_hex ? unhex(text, line) : text, options)}}).dump());
      out.flush();
    });
    return 0;
  }
  const std::vector<llm::TokenId> ids = tokenizer.encode(prompt_text(app, flags.prompt), options);
  if (flags.json) {
    ordered_json tokens = ordered_json::array();
    for (const llm::TokenId id : ids) {
      tokens.push_back(
          {{"id", id}, {"piece", tokenizer.token_text(id)}, {"bytes_hex", hex(tokenizer.token_bytes(id))}});
    }
    out.line(dump({{"ids", ids}, {"tokens", tokens}}));
  } else if (flags.ids_only) {
    print_ids(out, ids);
  } else {
    print_table(out, tokenizer, ids);
  }
  out.flush();
  return 0;
}

int run_detokenize(const CLI::App& app, const TokenizeFlags& flags) {
  const llm::Tokenizer tokenizer = open_tokenizer(flags);
  Output out;
  const auto as_json = [&](const std::vector<llm::TokenId>& ids) {
    const std::string bytes = tokenizer.decode(ids, flags.special);
    return dump({{"text", bytes}, {"bytes_hex", hex(bytes)}});
  };
  if (flags.jsonl) {
    for_each_object(flags.prompt, [&](const json& object, std::size_t line) {
      const json ids = object.value("ids", json());
      const bool valid =
          ids.is_array() && std::all_of(ids.begin(), ids.end(), [](const json& id) { return id.is_number_integer(); });
      if (!valid)
        throw Error(ErrorCode::io, fmt::format("line {}: expected \"ids\" as an array of whole numbers", line));
      out.line(as_json(ids.get<std::vector<llm::TokenId>>()));
      out.flush();
    });
    return 0;
  }
  const std::string given = flags.prompt.ids.empty() ? prompt_text(app, flags.prompt) : flags.prompt.ids;
  const std::vector<llm::TokenId> ids = parse_ids(given, "ids");
  if (flags.json) {
    out.line(as_json(ids));
  } else if (flags.ids_only) {
    print_table(out, tokenizer, ids);
  } else {
    out.text(tokenizer.decode(ids, flags.special));
    if (out.is_terminal()) out.text("\n");
  }
  out.flush();
  return 0;
}

void add_tokenizer_flags(CLI::App& command, TokenizeFlags& flags) {
  command
      .add_option("-m,--model", flags.model,
                  "A GGUF file, a Hugging Face folder, a tokenizer.json, a SentencePiece .model, a .tiktoken file or a "
                  "llama2.c tokenizer.bin")
      ->envname("LLMGEN_MODEL");
  command.add_flag("--json", flags.json, "One JSON object");
  command.add_flag("--jsonl", flags.jsonl, "One JSON object a line in, one a line out");
}

}  // namespace

void add_tokenize(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens of a text");
  add_tokenizer_flags(*command, *flags);
  command->add_option("-p,--prompt", flags->prompt.text, "Text")->type_name("TEXT");
  command->add_option("-f,--file", flags->prompt.file, "Read the text from a file; - is standard input")
      ->type_name("FILE");
  command->add_flag("-e,--escape", flags->prompt.escape, "Process \\n, \\t, \\\\ and the like in -p");
  command->add_flag("--ids", flags->ids_only, "Only the ids, in one line");
  command->add_flag("--add-special", flags->add_special, "Add start and end tokens as the vocabulary says");
  command->add_flag("--parse-special", flags->prompt.parse_special,
                    "Take the text of control tokens as control tokens");
  command->footer("With --jsonl each line is {\"text\": ...} or {\"bytes_hex\": ...}, each answer {\"ids\": [...]}.");
  command->callback([command, &program, flags] {
    program.json_errors = flags->json;
    program.run = [command, flags] { return run_tokenize(*command, *flags); };
  });
}

void add_detokenize(CLI::App& app, Program& program) {
  const auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("detokenize", "Show the text of token ids");
  add_tokenizer_flags(*command, *flags);
  command->add_option("-p,--prompt", flags->prompt.text, "Ids, e.g. 1,2,3")->type_name("IDS");
  command->add_option("--ids", flags->prompt.ids, "Ids, e.g. 1,2,3")->type_name("IDS");
  command->add_option("-f,--file", flags->prompt.file, "Read the ids from a file; - is standard input")
      ->type_name("FILE");
  command->add_flag("--table", flags->ids_only, "A table of ids, pieces and bytes");
  command->add_flag("--special", flags->special, "Show control tokens");
  command->footer("With --jsonl each line is {\"ids\": [...]}, each answer {\"text\": ..., \"bytes_hex\": ...}.");
  command->callback([command, &program, flags] {
    program.json_errors = flags->json;
    program.run = [command, flags] { return run_detokenize(*command, *flags); };
  });
}

}  // namespace llmgen

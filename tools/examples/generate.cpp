// Generates text: generate MODEL PROMPT
#include <cstdio>
#include <llm/llm.hpp>

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: generate MODEL PROMPT\n"), 2;
  try {
    const llm::Model model = llm::Model::load(argv[1]);
    llm::Session session(model);
    llm::Request request;
    request.prompt = model.tokenizer()->encode(argv[2], {.add_special = true});
    request.max_tokens = 40;
    request.sampling.temperature = 0;
    request.on_token = [](const llm::GeneratedToken& token) {
      std::fwrite(token.text.data(), 1, token.text.size(), stdout);
      return std::fflush(stdout) == 0;
    };
    session.generate(request);
    std::puts("");
  } catch (const llm::Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), static_cast<int>(error.code());
  }
}

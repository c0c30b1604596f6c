// Prints the architecture and the vocabulary size of a model after one evaluation.
#include <iostream>
#include <llm/llm.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const llm::Model model = llm::Model::load(argv[1]);
  llm::Session session(model);
  const llm::TokenId ids[] = {1, 4, 9};
  session.eval(ids);
  if (session.logits().size() != 16) return 1;
  std::cout << model.info().architecture << ' ' << model.info().n_vocab << '\n';
}

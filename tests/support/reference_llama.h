#ifndef SUPPORT_REFERENCE_LLAMA_H
#define SUPPORT_REFERENCE_LLAMA_H

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

// The llama kind of model, evaluated plainly and slowly in double precision: whole sequences, no cache, no blocks.
// Shares nothing with src/.
struct ReferenceLlama {
  int n_vocab = 0, n_embd = 0, n_layer = 0, n_head = 0, n_head_kv = 0, head_dim = 0, n_ff = 0;
  double eps = 1e-5;
  std::string activation = "silu";  // silu, gelu, gelu_new, relu, relu2
  bool attention_bias = false, mlp_bias = false, tied = false;
  int window = 0;  // 0: none
  double rope_base = 10'000;
  std::string rope_type;  // "", linear, llama3, yarn
  double rope_factor = 1, original_context = 0, low = 1, high = 4, beta_fast = 32, beta_slow = 1;

  std::map<std::string, std::vector<float>> tensors;  // by Hugging Face's names, rows of outputs

  // Shapes of all tensors that these options ask for.
  std::map<std::string, std::vector<std::int64_t>> shapes() const;
  std::string config_json() const;
  // [n, n_vocab]
  std::vector<double> logits(std::span<const std::int32_t> ids) const;
};

#endif

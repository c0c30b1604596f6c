#include <string>

#include "formats/quote.h"
#include "model/families/families.h"

namespace llm::model {
namespace {

Norm norm(const Hyper& h) {
  return layer_norm(h, 1e-12);
}

Layer layer(const Hyper& h, int i) {
  return encoder_layer(h, i, norm(h), activation(h, Activation::gelu_erf));
}

// Table of positions and token types, norm of the embeddings.
void finish_embedding(const Hyper& h, ModelSpec& m, int offset) {
  const Key kind{"", {"position_embedding_type"}};
  if (const std::string name = h.text_or(kind, "absolute"); name != "absolute") {
    h.fail(kind, formats::quote(name), "absolute");
  }
  m.n_position_max = h.integer_or(keys::n_context, 512, offset + 1, 1 << 24) - offset;
  Embedding& e = m.decoder.embedding;
  e.positions = Positions::learned;
  e.position_offset = offset;
  e.n_positions = static_cast<int>(m.n_position_max) + offset;
  e.norm = norm(h);
  e.n_token_types = n_token_types(h, 2);
}

Layer rotated_layer(const Hyper& h, int i) {
  Layer l = layer(h, i);
  auto& a = std::get<Attention>(l.mixers.front());
  a.rope = attention(h, i).rope;
  return l;
}

void finish_jina_v3(const Hyper& h, ModelSpec& m) {
  m.decoder.embedding.norm = norm(h);
  m.decoder.embedding.n_token_types = n_token_types(h, 2);
}

void finish_bert(const Hyper& h, ModelSpec& m) {
  finish_embedding(h, m, 0);
  set_mask_head(h, m, "cls.predictions.transform.dense.weight", norm(h), activation(h, Activation::gelu_erf));
}

// Positions begin after the padding's number.
void finish_roberta(const Hyper& h, ModelSpec& m) {
  finish_embedding(h, m, static_cast<int>(h.integer_or({"", {"pad_token_id"}}, 1, 0, 1 << 16)) + 1);
  set_mask_head(h, m, "lm_head.dense.weight", norm(h), Activation::gelu_erf);
}

void finish_projected(const Hyper& h, ModelSpec& m) {
  finish_embedding(h, m, 0);
  const int width = static_cast<int>(h.integer_or({"", {"embedding_size"}}, 128, 1, 1 << 20));
  if (width != m.n_embd) {
    m.decoder.embedding.width = width;
    m.decoder.embedding.project_bias = Presence::yes;
  }
}

void finish_electra(const Hyper& h, ModelSpec& m) {
  finish_projected(h, m);
  set_mask_head(h, m, "generator_predictions.dense.weight", norm(h), Activation::gelu_erf);
}

// One layer's weights for all layers.
void finish_albert(const Hyper& h, ModelSpec& m) {
  finish_projected(h, m);
  set_mask_head(h, m, "predictions.dense.weight", norm(h), activation(h, Activation::gelu_tanh));
  const Key groups{"", {"num_hidden_groups"}}, inner{"", {"inner_group_num"}};
  const std::int64_t n_groups = h.integer_or(groups, 1, 1, m.n_layer), n_inner = h.integer_or(inner, 1);
  if (n_inner != 1) h.fail(inner, std::to_string(n_inner), "1");
  for (std::int64_t i = 0; i < m.n_layer; ++i) {
    m.decoder.layer_group.push_back(static_cast<std::size_t>(i * n_groups / m.n_layer));
  }
}

std::vector<TensorName> bert_names(std::vector<TensorName> more) {
  std::vector<TensorName> names = {{"token_embd", "embeddings.word_embeddings"},
                                   {"position_embd", "embeddings.position_embeddings"},
                                   {"token_types", "embeddings.token_type_embeddings"},
                                   {"token_embd_norm", "embeddings.LayerNorm"},
                                   {"attn_q", "attention.self.query"},
                                   {"attn_k", "attention.self.key"},
                                   {"attn_v", "attention.self.value"},
                                   {"attn_output", "attention.output.dense"},
                                   {"attn_output_norm", "attention.output.LayerNorm"},
                                   {"ffn_up", "intermediate.dense"},
                                   {"ffn_down", "output.dense"},
                                   {"layer_output_norm", "output.LayerNorm"}};
  more.insert(more.end(), names.begin(), names.end());
  return more;
}

}  // namespace

const Family bert_family{
    .name = "bert",
    .gguf = {"bert"},
    .hugging_face = {"bert"},
    .special = "encoder: learned positions, token types, norms after the branches; GGUF also of its relatives",
    .defaults = {.tied = true},
    .kind = ModelKind::encoder,
    .layer = layer,
    .finish = finish_bert,
    .naming = {.prefixes = {"bert.", ""},
               .layer = "encoder.layer.{}.",
               .names = bert_names({{"output_transform", "^cls.predictions.transform.dense"},
                                    {"output_transform_norm", "^cls.predictions.transform.LayerNorm"},
                                    {"output.bias", "^cls.predictions.bias"},
                                    {"output", "^cls.predictions.decoder"}})}};

const Family jina_bert_v3_family{.name = "jina-bert-v3",
                                 .gguf = {"jina-bert-v3"},
                                 .special = "bert with rotary positions",
                                 .kind = ModelKind::encoder,
                                 .layer = rotated_layer,
                                 .finish = finish_jina_v3};

const Family roberta_family{.name = "roberta",
                            .hugging_face = {"roberta", "xlm-roberta"},
                            .special = "bert whose positions begin after the number of the padding token",
                            .defaults = {.tied = true},
                            .kind = ModelKind::encoder,
                            .layer = layer,
                            .finish = finish_roberta,
                            .naming = {.prefixes = {"roberta.", ""},
                                       .layer = "encoder.layer.{}.",
                                       .names = bert_names({{"output_transform", "^lm_head.dense"},
                                                            {"output_transform_norm", "^lm_head.layer_norm"},
                                                            {"output.bias", "^lm_head.bias"},
                                                            {"output", "^lm_head.decoder"}})},
                            .writing = {.architecture = "bert"}};

const Family electra_family{
    .name = "electra",
    .hugging_face = {"electra"},
    .special = "bert with projected embeddings",
    .defaults = {.tied = true},
    .kind = ModelKind::encoder,
    .layer = layer,
    .finish = finish_electra,
    .naming = {.prefixes = {"electra.", ""},
               .layer = "encoder.layer.{}.",
               .names = bert_names({{"embd_projection", "embeddings_project"},
                                    {"output_transform", "^generator_predictions.dense"},
                                    {"output_transform_norm", "^generator_predictions.LayerNorm"},
                                    {"output.bias", "^generator_lm_head.bias"},
                                    {"output", "^generator_lm_head"}})}};

const Family albert_family{
    .name = "albert",
    .hugging_face = {"albert"},
    .special = "projected embeddings; one layer for all",
    .defaults = {.tied = true},
    .kind = ModelKind::encoder,
    .layer = [](const Hyper& h, int i) { return encoder_layer(h, i, norm(h), activation(h, Activation::gelu_tanh)); },
    .finish = finish_albert,
    .naming = {.prefixes = {"albert.", ""},
               .layer = "encoder.albert_layer_groups.{}.albert_layers.0.",
               .names = {{"token_embd", "embeddings.word_embeddings"},
                         {"position_embd", "embeddings.position_embeddings"},
                         {"token_types", "embeddings.token_type_embeddings"},
                         {"token_embd_norm", "embeddings.LayerNorm"},
                         {"embd_projection", "encoder.embedding_hidden_mapping_in"},
                         {"attn_q", "attention.query"},
                         {"attn_k", "attention.key"},
                         {"attn_v", "attention.value"},
                         {"attn_output", "attention.dense"},
                         {"attn_output_norm", "attention.LayerNorm"},
                         {"ffn_up", "ffn"},
                         {"ffn_down", "ffn_output"},
                         {"layer_output_norm", "full_layer_layer_norm"},
                         {"output_transform", "^predictions.dense"},
                         {"output_transform_norm", "^predictions.LayerNorm"},
                         {"output.bias", "^predictions.bias"},
                         {"output", "^predictions.decoder"}}}};

}  // namespace llm::model

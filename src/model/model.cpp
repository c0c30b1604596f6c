#include "model/model.h"

#include "model/weights.h"

namespace llm::model {

Model::Model(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
Model::~Model() = default;

std::unique_ptr<Model> Model::load(std::unique_ptr<formats::WeightsFile> file, std::vector<Adapter> adapters) {
  auto weights = std::make_unique<Weights>(*file, false, adapters);
  weights->owned_file = std::move(file);
  return std::unique_ptr<Model>(new Model(std::move(weights)));
}

std::unique_ptr<Model> Model::describe(const formats::WeightsFile& file, std::span<const Adapter> adapters) {
  return std::unique_ptr<Model>(new Model(std::make_unique<Weights>(file, true, adapters)));
}

const ModelSpec& Model::spec() const {
  return weights_->spec;
}
std::vector<StateGroup> Model::state_groups(TensorType kv_type) const {
  return weights_->state.state_groups(kv_type);
}
std::int64_t Model::n_parameters() const {
  return weights_->n_parameters;
}
std::uint64_t Model::converted_bytes() const {
  return weights_->converted_bytes;
}
const std::vector<std::string>& Model::unused_keys() const {
  return weights_->unused_keys;
}
const std::vector<std::string>& Model::unused_tensors() const {
  return weights_->unused_tensors;
}
const formats::WeightsFile& Model::file() const {
  return *weights_->file;
}

}  // namespace llm::model

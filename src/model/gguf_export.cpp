#include "model/gguf_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <llm/error.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "formats/quote.h"
#include "model/naming.h"
#include "model/rope.h"
#include "model/spec_json.h"
#include "model/weights.h"

namespace llm::model {
namespace {

using formats::TensorView;

// The header of a GGUF file that is not written yet, as the reader of such files sees it.
class PlannedFile final : public formats::WeightsFile {
 public:
  PlannedFile(std::string path, const GgufExport& plan) : path_(std::move(path)) {
    formats::GgufHeader header;
    header.set_string("general.architecture", plan.architecture);
    header.set_string("tokenizer.ggml.model", "none");
    set_keys(header, plan.architecture, plan.keys);
    bytes_ = header.encode();
    metadata_ = formats::parse_gguf(bytes_, path_).metadata;
    for (const BoundTensor& tensor : plan.tensors) {
      TensorView view;
      view.name = tensor.name;
      view.type = tensor.type;
      view.n_dims = static_cast<int>(tensor.shape.size());
      std::copy(tensor.shape.rbegin(), tensor.shape.rend(), view.extent.begin());
      tensors_.push_back(view);
    }
    std::sort(tensors_.begin(), tensors_.end(),
              [](const TensorView& a, const TensorView& b) { return a.name < b.name; });
  }

  void load(const ReadProgress&) override {}
  formats::SourceKind kind() const override { return formats::SourceKind::gguf; }
  const std::string& path() const override { return path_; }
  const formats::Metadata& metadata() const override { return metadata_; }
  std::string_view config_json() const override { return ""; }
  std::span<const TensorView> tensors() const override { return tensors_; }
  const TensorView* find_tensor(std::string_view name) const override {
    const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                        [](const TensorView& tensor, std::string_view n) { return tensor.name < n; });
    return found != tensors_.end() && found->name == name ? &*found : nullptr;
  }
  std::uint64_t file_bytes() const override { return 0; }

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
  formats::Metadata metadata_;
  std::vector<TensorView> tensors_;
};

const Family& target_family(const Family& family, const ModelSpec& spec, const std::string& path, std::string& name) {
  name =
      family.writing.architecture.empty() && !family.gguf.empty() ? family.gguf.front() : family.writing.architecture;
  const Family* target = name.empty() ? nullptr : find_gguf_family(name);
  if (target == nullptr) {
    throw Error(ErrorCode::model,
                fmt::format("{}: model_type {} has no GGUF architecture; llmgen runs the folder itself", path,
                            formats::quote(spec.architecture)));
  }
  return *target;
}

// Entry i of a head as its row stands where pairs are neighbours. Heads that are not rotated are reordered like the
// others: the same for queries and keys, so that scores stay.
std::int64_t place_in_head(const BoundTensor::Rotated& r, std::int64_t i) {
  const std::int64_t dims = r.dims != 0 ? r.dims : r.head_dim;
  if (r.pairing == ops::RopePairing::halves || i >= dims) return i;
  const std::int64_t half = dims / 2;
  return 2 * (i % half) + i / half;
}

// Row of the stored tensor that is entry i of the heads with rotation by halves.
std::int64_t stored_row(const BoundTensor& t, std::int64_t i) {
  const BoundTensor::Rotated& r = t.rotated;
  if (r.head_dim != 0) i = i / r.head_dim * r.head_dim + place_in_head(r, i % r.head_dim);
  return t.order.empty() ? i : t.order[static_cast<std::size_t>(i)];
}

// The tensor with its rows in the order of `target`, which reads the same numbers from a GGUF file.
void reorder(BoundTensor& tensor, const BoundTensor& target) {
  const std::int64_t n = tensor.n_rows();
  std::vector<std::int64_t> source(static_cast<std::size_t>(n));
  bool same = true;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t to = stored_row(target, i), from = stored_row(tensor, i);
    source[static_cast<std::size_t>(to)] = from;
    same = same && to == from;
  }
  tensor.order.clear();
  if (same) return;
  tensor.row = [row = std::move(tensor.row), source = std::move(source)](std::int64_t i, std::byte* out) {
    row(source[static_cast<std::size_t>(i)], out);
  };
}

void multiply_rows(BoundTensor& tensor, const std::function<float(std::int64_t row)>& factor) {
  const std::int64_t n = tensor.row_elements();
  const auto bytes = tensor_row_bytes(tensor.type, static_cast<std::uint64_t>(n));
  tensor.row = [row = std::move(tensor.row), type = tensor.type, n, bytes, factor](std::int64_t i, std::byte* out) {
    std::vector<std::byte> stored(bytes);
    std::vector<float> values(static_cast<std::size_t>(n));
    row(i, stored.data());
    kernels::kernels().decode_row(type, stored.data(), values.data(), n);
    for (float& value : values) value *= factor(i);
    std::memcpy(out, values.data(), values.size() * sizeof(float));
  };
  tensor.type = TensorType::F32;
}

// Multipliers that readers of the architecture do not know go into the weights.
class ScaleFolder {
 public:
  explicit ScaleFolder(std::vector<BoundTensor>& tensors) {
    for (BoundTensor& tensor : tensors) by_name_[tensor.scope + tensor.name] = &tensor;
  }

  void fold(ModelSpec& spec) {
    float& embedding = spec.decoder.embedding.scale;
    scope_ = spec.decoder.prefix;
    scale("token_embd", std::exchange(embedding, 1), true);
    scale("output", std::exchange(spec.head.scale, 1), true);
    for (std::size_t i = 0; i < spec.decoder.layers.size(); ++i) {
      Layer& layer = spec.decoder.layers[i];
      scope_ = fmt::format("{}blk.{}.", spec.decoder.prefix, i);
      for (MixerSpec& mixer : layer.mixers) {
        if (auto* a = std::get_if<Attention>(&mixer)) fold_attention(*a);
        if (auto* m = std::get_if<Mamba2>(&mixer)) fold_state_space(*m);
      }
      if (auto* m = std::get_if<Mlp>(&layer.ffn)) {
        scale("ffn_gate", std::exchange(m->gate_scale, 1), true);
        scale("ffn_down", std::exchange(m->output_scale, 1), true);
      }
    }
  }

 private:
  void scale(const std::string& name, float factor, bool bias) {
    if (factor == 1) return;
    each(name, bias, [factor](std::int64_t) { return factor; });
  }

  void each(const std::string& name, bool bias, const std::function<float(std::int64_t)>& factor) {
    for (const char* ending : {".weight", ".bias"}) {
      const auto found = by_name_.find(scope_ + name + ending);
      if (found != by_name_.end() && (bias || std::string_view(ending) == ".weight")) {
        multiply_rows(*found->second, factor);
      }
    }
  }

  void fold_attention(Attention& a) {
    const float input = std::exchange(a.input_scale, 1);
    for (const char* name : {"attn_q", "attn_k", "attn_v"}) scale(name, input, false);
    scale("attn_k", std::exchange(a.key_scale, 1), true);
    scale("attn_output", std::exchange(a.output_scale, 1), true);
  }

  void fold_state_space(Mamba2& m) {
    scale("ssm_in", std::exchange(m.input_scale, 1), false);
    scale("ssm_out", std::exchange(m.output_scale, 1), true);
    if (m.part_scales.empty()) return;
    const std::int64_t n_bc = std::int64_t{m.n_groups} * m.state;
    const std::vector<std::int64_t> ends = {m.inner, 2 * std::int64_t{m.inner}, 2 * m.inner + n_bc,
                                            2 * m.inner + 2 * n_bc, 2 * m.inner + 2 * n_bc + m.n_heads};
    each("ssm_in", true, [ends, scales = m.part_scales](std::int64_t row) {
      const auto part = std::upper_bound(ends.begin(), ends.end(), row) - ends.begin();
      return scales[static_cast<std::size_t>(part)];
    });
    m.part_scales.clear();
  }

  std::map<std::string, BoundTensor*> by_name_;
  std::string scope_;
};

bool same_rows(const BoundTensor& a, const BoundTensor& b) {
  if (a.type != b.type || a.shape != b.shape) return false;
  const auto n_bytes = tensor_row_bytes(a.type, static_cast<std::uint64_t>(a.row_elements()));
  std::vector<std::byte> row_a(n_bytes), row_b(n_bytes);
  for (std::int64_t i = 0; i < a.n_rows(); ++i) {
    a.row(i, row_a.data());
    b.row(i, row_b.data());
    if (row_a != row_b) return false;
  }
  return true;
}

class Exporter {
 public:
  explicit Exporter(const formats::WeightsFile& folder)
      : path_(folder.path()), source_(folder, true, std::span<const Adapter>(), true), spec_(source_.spec) {}

  GgufExport run() {
    const Family& family = *find_family_of(spec_);
    const Family& target = target_family(family, spec_, path_, plan_.architecture);
    plan_.tensors = std::move(source_.bound);
    drop_head_of_encoder();
    drop_position_offset();
    if (family.writing.scaled_weights) fold_scales();
    add_rope_tensors();
    for (BoundTensor& tensor : plan_.tensors) tensor.name = gguf_name(target, tensor.scope, tensor.name);
    drop_repeated();
    set_plan_keys(family);
    std::string difference = check();
    if (!difference.empty() && add_window_pattern()) difference = check();
    if (!difference.empty()) refuse(difference);
    return std::move(plan_);
  }

 private:
  static const Family* find_family_of(const ModelSpec& spec) {
    const auto all = families();
    return *std::find_if(all.begin(), all.end(), [&](const Family* f) { return f->name == spec.family; });
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::model, fmt::format("{}: cannot be written as GGUF architecture {}: {}", path_,
                                              formats::quote(plan_.architecture), why));
  }

  // Two stacks may have bound the same tensor. Different ones cannot have one name.
  void drop_repeated() {
    std::map<std::string, const BoundTensor*> first;
    std::vector<BoundTensor> kept;
    kept.reserve(plan_.tensors.size());
    for (BoundTensor& tensor : plan_.tensors) {
      const auto [found, is_new] = first.try_emplace(tensor.name, nullptr);
      if (is_new) {
        found->second = &kept.emplace_back(std::move(tensor));
      } else if (!same_rows(*found->second, tensor)) {
        refuse(fmt::format("two different tensors would be {}", tensor.name));
      }
    }
    plan_.tensors = std::move(kept);
  }

  // GGUF encoders end with hidden states: no place for a head that fills masks.
  void drop_head_of_encoder() {
    if (spec_.kind != ModelKind::encoder || !spec_.head.exists) return;
    spec_.head = {};
    spec_.head.exists = false;
    std::erase_if(plan_.tensors, [&](const BoundTensor& tensor) {
      const bool of_head =
          tensor.scope.empty() && tensor.name.starts_with("output") && !tensor.name.starts_with("output_norm");
      if (of_head) plan_.left_out.push_back(tensor.name);
      return of_head;
    });
  }

  // Rows before the first position are never read.
  void drop_position_offset() {
    Embedding& e = spec_.decoder.embedding;
    if (e.position_offset == 0 || spec_.kind != ModelKind::encoder) return;
    for (BoundTensor& tensor : plan_.tensors) {
      if (tensor.name != "position_embd.weight") continue;
      tensor.shape[0] -= e.position_offset;
      tensor.row = [row = std::move(tensor.row), offset = e.position_offset](std::int64_t i, std::byte* out) {
        row(i + offset, out);
      };
    }
    spec_.n_context_train = spec_.n_position_max;
  }

  void fold_scales() {
    if (spec_.head.tied && (spec_.decoder.embedding.scale != 1 || spec_.head.scale != 1)) {
      // Embedding and output are multiplied by different numbers.
      const auto tokens = std::find_if(plan_.tensors.begin(), plan_.tensors.end(),
                                       [](const BoundTensor& t) { return t.name == "token_embd.weight"; });
      BoundTensor output = *tokens;
      output.scope = spec_.decoder.prefix;
      output.name = "output.weight";
      plan_.tensors.push_back(std::move(output));
      spec_.head.tied = false;
    }
    ScaleFolder(plan_.tensors).fold(spec_);
  }

  void add_factors(const char* name, const std::vector<double>& factors) {
    std::vector<float> values(factors.begin(), factors.end());
    BoundTensor tensor{"", name, {static_cast<std::int64_t>(values.size())}, TensorType::F32, {}};
    tensor.row = [values = std::move(values)](std::int64_t i, std::byte* out) {
      std::memcpy(out, &values[static_cast<std::size_t>(i)], sizeof(float));
    };
    plan_.tensors.push_back(std::move(tensor));
  }

  // Scaling that GGUF files hold as a tensor of divisors of the frequencies.
  void add_rope_tensors() {
    for (const Rope& rope : source_.ropes) {
      const RopeScaling& s = rope.scaling;
      if (s.kind == RopeScaling::Kind::longrope) {
        add_factors("rope_factors_long.weight", s.long_factor);
        add_factors("rope_factors_short.weight", s.short_factor);
      } else if (s.kind == RopeScaling::Kind::llama3) {
        RopeAngles plain, scaled;
        Rope unscaled = rope;
        unscaled.scaling = {};
        rope_angles(unscaled, 1, {}, plain);
        rope_angles(rope, 1, {}, scaled);
        std::vector<double> divisors;
        for (std::size_t i = 0; i < plain.inverse_frequency.size(); ++i) {
          divisors.push_back(plain.inverse_frequency[i] / scaled.inverse_frequency[i]);
        }
        add_factors("rope_freqs.weight", divisors);
      }
    }
    for (Layer& layer : spec_.decoder.layers) {
      for (MixerSpec& mixer : layer.mixers) {
        auto* a = std::get_if<Attention>(&mixer);
        if (a != nullptr && a->rope.scaling.kind == RopeScaling::Kind::llama3) a->rope.scaling = {};
      }
    }
  }

  void set_plan_keys(const Family& family) {
    plan_.keys = source_.answers;
    if (spec_.kind == ModelKind::encoder) plan_.n_token_types = std::max(1, spec_.decoder.embedding.n_token_types);
    // Of these the specification says what they come to.
    for (const char* derived : {"attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa"}) {
      plan_.keys.erase(derived);
    }
    for (auto& [key, value] : keys_of(spec_)) plan_.keys.insert_or_assign(key, std::move(value));
    plan_.keys.try_emplace("feed_forward_length", std::int64_t{0});
    plan_.keys.erase("nextn_predict_layers");  // such layers are left out
    if (family.writing.keys != nullptr) family.writing.keys(spec_, plan_.keys);
    const auto& unused = source_.unused_tensors;
    plan_.left_out.insert(plan_.left_out.end(), unused.begin(), unused.end());
  }

  // One flag a layer: windowed. False if there is nothing to say.
  bool add_window_pattern() {
    std::vector<std::int64_t> flags;
    bool any = false;
    for (const Layer& layer : spec_.decoder.layers) {
      const bool windowed = std::any_of(layer.mixers.begin(), layer.mixers.end(), [](const MixerSpec& mixer) {
        const auto* a = std::get_if<Attention>(&mixer);
        return a != nullptr && a->window_kind != WindowKind::none;
      });
      any = any || windowed;
      flags.push_back(windowed ? 1 : 0);
    }
    if (any) plan_.keys["attention.sliding_window_pattern"] = flags;
    return any;
  }

  // Binds the plan as a GGUF file. Empty, or what would come out differently; if nothing would, rows are put into the
  // order that was asked for and keys that nobody reads are taken out.
  std::string check() {
    const PlannedFile file(path_, plan_);
    std::unique_ptr<Weights> bound;
    try {
      const Hyper hyper(file);
      const ModelSpec read = resolve(hyper, find_family(hyper));
      if (const std::string place = first_difference(spec_json(spec_), spec_json(read)); !place.empty()) {
        return fmt::format("{} (in the folder, and as readers of such files have it)", place);
      }
      bound = std::make_unique<Weights>(file, true, std::span<const Adapter>(), true);
    } catch (const Error& error) {
      std::string why = error.what();
      if (why.starts_with(path_ + ": ")) why.erase(0, path_.size() + 2);
      return why;
    }
    if (!bound->unused_tensors.empty()) return fmt::format("no place for tensor {}", bound->unused_tensors.front());
    for (const std::string& key : bound->unused_keys) plan_.keys.erase(key.substr(plan_.architecture.size() + 1));
    std::map<std::string, const BoundTensor*> targets;
    for (const BoundTensor& tensor : bound->bound) {
      targets[gguf_name(*find_gguf_family(plan_.architecture), tensor.scope, tensor.name)] = &tensor;
    }
    for (BoundTensor& tensor : plan_.tensors) {
      const auto found = targets.find(tensor.name);
      if (found != targets.end() && found->second->n_rows() == tensor.n_rows()) reorder(tensor, *found->second);
    }
    return "";
  }

  std::string path_;
  Weights source_;
  ModelSpec spec_;  // of the folder, as the file will say it
  GgufExport plan_;
};

}  // namespace

void set_keys(formats::GgufHeader& header, const std::string& architecture, const GgufKeys& keys) {
  struct Setter {
    formats::GgufHeader& header;
    std::string key;
    void operator()(bool value) const { header.set_bool(key, value); }
    void operator()(std::int64_t value) const { header.set_u32(key, static_cast<std::uint32_t>(value)); }
    void operator()(double value) const { header.set_f32(key, static_cast<float>(value)); }
    void operator()(const std::string& value) const { header.set_string(key, value); }
    void operator()(const std::vector<std::int64_t>& values) const {
      if (key.ends_with("_pattern") || key.ends_with("recurrent_layers")) {
        std::vector<bool> flags;
        flags.reserve(values.size());
        for (const std::int64_t value : values) flags.push_back(value != 0);
        header.set_bools(key, flags);
        return;
      }
      const std::vector<std::int32_t> narrow(values.begin(), values.end());
      header.set_i32s(key, narrow);
    }
  };
  for (const auto& [key, value] : keys) std::visit(Setter{header, architecture + "." + key}, value);
}

GgufExport export_gguf(const formats::WeightsFile& folder) {
  if (folder.kind() == formats::SourceKind::gguf) {
    throw Error(ErrorCode::usage,
                fmt::format("{}: is a GGUF file already; llmgen quantize rewrites its weights", folder.path()));
  }
  return Exporter(folder).run();
}

}  // namespace llm::model

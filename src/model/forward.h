#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include <functional>
#include <span>
#include <vector>

#include "model/step.h"
#include "model/weights.h"

// The forward pass: what every worker of a region does in a step.

namespace llm::model {

// Packed forms that the blocks of a layer read.
struct LayerInputs {
  ops::InputFormats mixer, cross, ffn;
  bool mixer_rows = false, ffn_rows = false;  // some block reads floats
};
struct StackInputs {
  ops::InputFormats projection;
  std::vector<LayerInputs> layers;
};
StackInputs inputs_of(const ops::Context& c, const StackWeights& stack);

// A stack's rows: the stream and what is made of it. Shapes [n_rows, n_embd].
struct StackBuffers {
  ops::Rows x, normed, branch;
  ops::Rows embedded;  // [n_rows, embedding width], if it is projected
  ops::PackBuffer pack, ffn_pack;
};
StackBuffers stack_buffers(Workspace& workspace, const Stack& spec, std::int64_t n_embd, std::int64_t n_rows);

struct StepInput {
  std::span<const std::int32_t> tokens;
  std::span<const std::int32_t> token_types;
  const std::function<void(int, const float*, std::int64_t, std::int64_t)>* on_hidden = nullptr;
};

// Embedding and all layers; the stream is left in buffers.x, before the final norm.
void run_stack(const ops::Context& c, const StackWeights& stack, const StackInputs& inputs, const StepView& step,
               const StepInput& in, const StackBuffers& buffers, Workspace workspace);

// Keys and values of the source for all cross attention layers, from the encoder's normed output in buffers.x.
void run_source(const ops::Context& c, const StackWeights& decoder, const StackInputs& inputs, const StepView& step,
                const StackBuffers& buffers, Workspace workspace);

// Final norm and output matrix for the rows that are wanted.
struct OutputBuffers {
  ops::Rows rows;       // [n, n_embd]
  ops::Rows projected;  // [n, head width]
  ops::PackBuffer pack;
};
OutputBuffers output_buffers(Workspace& workspace, const ModelSpec& spec, std::int64_t n_rows);
void run_output(const ops::Context& c, const StackWeights& stack, const HeadWeights& head, const Head& spec,
                ops::Rows x, std::span<const std::int32_t> wanted, ops::Rows last_hidden, ops::Rows logits,
                const OutputBuffers& buffers);

}  // namespace llm::model

#endif

#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include <cstdint>
#include <vector>

#include "model/spec.h"

namespace llm::model {

struct RopeAngles {
  std::vector<double> inverse_frequency;  // [dims / 2]
  double attention_factor = 1;            // multiplies cosines and sines
};

// length: of the sequence, for kinds that depend on it. divisors: [dims / 2] or empty.
void rope_angles(const Rope& rope, std::int64_t length, const std::vector<float>& divisors, RopeAngles& out);

// Correction of the score's scale by YaRN: 0.1 * mscale * ln(factor) + 1.
double yarn_mscale(double factor, double mscale);

}  // namespace llm::model

#endif

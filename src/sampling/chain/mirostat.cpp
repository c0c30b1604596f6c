#include <algorithm>
#include <cmath>

#include "sampling/stage.h"

namespace llm::sampling {
namespace {

// The token drawn from the candidates, with mu moved against the difference of its surprise (bits) and tau.
TokenId draw_and_learn(Choice& choice, double tau, double eta) {
  const Candidate chosen = choice.candidates.draw(random_uniform(choice.random));
  const Candidates::Shape shape = choice.candidates.shape();
  const double x = static_cast<double>(chosen.logit) - static_cast<double>(choice.candidates.max_logit());
  const double bits = (std::log(shape.weight) - x) / std::log(2.0);
  choice.state.mirostat_mu -= eta * (bits - tau);
  return chosen.id;
}

// Mirostat (Basu et al. 2020): estimates the exponent of Zipf's law from the top 100 and cuts to the k that gives the
// wanted surprise.
class Mirostat final : public Picker {
 public:
  Mirostat(double tau, double eta) : tau_(tau), eta_(eta) {}

  TokenId pick(Choice& choice) override {
    constexpr std::size_t n_estimate = 100;
    const auto n = static_cast<double>(choice.candidates.size());
    const std::span<const Candidate> top = choice.candidates.peek(n_estimate);
    double tb = 0, tt = 0;
    for (std::size_t i = 0; i + 1 < top.size(); ++i) {
      const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
      tb += t * (static_cast<double>(top[i].logit) - static_cast<double>(top[i + 1].logit));
      tt += t * t;
    }
    if (tt > 0 && n > 1) {
      const double s = std::max(tb / tt, 1e-6);
      const double epsilon = s - 1;
      // epsilon / (1 - n^-epsilon) tends to 1 / ln n.
      const double spread = std::abs(epsilon) < 1e-9 ? 1 / std::log(n) : epsilon / (1 - std::pow(n, -epsilon));
      const double k = std::pow(spread * std::exp2(choice.state.mirostat_mu), 1 / s);
      choice.candidates.keep_best(k < n ? std::max<std::int64_t>(1, static_cast<std::int64_t>(k))
                                        : static_cast<std::int64_t>(n));
    }
    return draw_and_learn(choice, tau_, eta_);
  }

 private:
  double tau_, eta_;
};

// Mirostat 2: cuts tokens whose surprise exceeds mu.
class Mirostat2 final : public Picker {
 public:
  Mirostat2(double tau, double eta) : tau_(tau), eta_(eta) {}

  TokenId pick(Choice& choice) override {
    const double log_weight = std::log(choice.candidates.shape().weight);
    const double max = static_cast<double>(choice.candidates.max_logit());
    // -log2 p <= mu  <=>  logit >= max + ln(weight) - mu ln 2
    choice.candidates.keep_above(static_cast<float>(max + log_weight - choice.state.mirostat_mu * std::log(2.0)));
    return draw_and_learn(choice, tau_, eta_);
  }

 private:
  double tau_, eta_;
};

}  // namespace

std::unique_ptr<Picker> make_mirostat(const SamplingOptions& options) {
  return std::make_unique<Mirostat>(static_cast<double>(options.mirostat_tau),
                                    static_cast<double>(options.mirostat_eta));
}

std::unique_ptr<Picker> make_mirostat_2(const SamplingOptions& options) {
  return std::make_unique<Mirostat2>(static_cast<double>(options.mirostat_tau),
                                     static_cast<double>(options.mirostat_eta));
}

}  // namespace llm::sampling

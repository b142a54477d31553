#include "engine/text/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "engine/text/largest.h"

namespace parley::engine::text {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// SplitMix64's output function (Steele, Lea, Flood 2014) on a counter.
uint64_t Mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// In [0, 1).
double Uniform(uint64_t seed, uint64_t place) {
  return static_cast<double>(Mix(Mix(seed) ^ place) >> 11) * 0x1.0p-53;
}

// e^x for x <= 0. libm picks its exp by the processor, and the last bits differ; this is the same everywhere.
double Exp(double x) {
  if (x < -700) return 0;
  const double n = std::nearbyint(x * 1.4426950408889634);
  const double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;  // ln 2 in two parts
  double sum = 1;
  for (int k = 13; k >= 1; --k) sum = 1 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

bool Better(const std::pair<float, TokenId>& a, const std::pair<float, TokenId>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

// What is no number counts as impossible, infinity as the largest number. There is hardly ever any of it.
void Clean(absl::Span<float> logits) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  int odd = 0;
  for (const float score : logits) odd |= score <= kLargest ? 0 : 1;
  if (odd == 0) return;
  for (float& score : logits) score = std::isnan(score) ? kNever : std::min(score, kLargest);
}

}  // namespace

absl::StatusOr<TokenId> Sampler::Sample(absl::Span<float> logits, absl::Span<const TokenId> answer) {
  logits = logits.first(std::min(logits.size(), vocabulary_));
  if (logits.empty()) return absl::InternalError("the model has no scores");
  Clean(logits);
  if (config_.repetition_penalty != 1) {
    const absl::flat_hash_set<TokenId> seen(answer.begin(), answer.end());
    for (const TokenId id : seen) {
      if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
      float& score = logits[id];
      score = score > 0 ? score / config_.repetition_penalty : score * config_.repetition_penalty;
    }
  }
  const auto best_id = static_cast<TokenId>(IndexOfLargest(logits));
  const float top = logits[best_id];
  if (top == kNever) return absl::InternalError("the model's scores are not numbers");
  if (!(config_.temperature > 0) || config_.top_k == 1) return best_id;

  const double scale = 1.0 / config_.temperature;
  candidates_.clear();
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] != kNever) candidates_.emplace_back(logits[id], static_cast<TokenId>(id));
  }
  if (config_.top_k > 0 && static_cast<size_t>(config_.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + config_.top_k, candidates_.end(), Better);
    candidates_.resize(config_.top_k);
  }
  double total = 0;
  if (config_.top_p < 1) {
    // The likely ones come off a heap one by one: as a rule few are needed of a whole vocabulary. Weights are
    // summed in this order too, whatever order the candidates came in.
    for (const auto& [score, id] : candidates_) total += Exp((static_cast<double>(score) - top) * scale);
    const double enough = total * std::max(0.0f, config_.top_p);
    const auto worse = [](const auto& a, const auto& b) { return Better(b, a); };
    std::make_heap(candidates_.begin(), candidates_.end(), worse);
    auto rest = candidates_.end();
    double mass = 0;
    do {
      std::pop_heap(candidates_.begin(), rest, worse);
      --rest;
      mass += Exp((static_cast<double>(rest->first) - top) * scale);
    } while (mass < enough && rest != candidates_.begin());
    candidates_.erase(candidates_.begin(), rest);
    std::reverse(candidates_.begin(), candidates_.end());
  } else {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const auto& a, const auto& b) { return a.second < b.second; });
  }
  weights_.clear();
  total = 0;
  for (const auto& [score, id] : candidates_) {
    total += Exp((static_cast<double>(score) - top) * scale);
    weights_.push_back(total);
  }
  const double draw = Uniform(config_.seed, answer.size()) * total;
  const auto chosen = std::upper_bound(weights_.begin(), weights_.end(), draw);
  return chosen == weights_.end() ? candidates_.back().second : candidates_[chosen - weights_.begin()].second;
}

}  // namespace parley::engine::text

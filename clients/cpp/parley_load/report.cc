#include "clients/cpp/parley_load/report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace parley::client {
namespace {

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

std::string Quantiles(const LatencyHistogram& latency) {
  return absl::StrFormat("p50 %.0f  p90 %.0f  p99 %.0f  max %.0f ms", Ms(latency.Quantile(0.5)),
                         Ms(latency.Quantile(0.9)), Ms(latency.Quantile(0.99)), Ms(latency.max()));
}

nlohmann::json QuantilesJson(const LatencyHistogram& latency) {
  nlohmann::json quantiles = nlohmann::json::array();
  for (double q : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0}) {
    quantiles.push_back({q, Ms(latency.Quantile(q))});
  }
  return {{"count", latency.count()},
          {"mean_ms", Ms(latency.mean())},
          {"p50_ms", Ms(latency.Quantile(0.5))},
          {"p99_ms", Ms(latency.Quantile(0.99))},
          {"max_ms", Ms(latency.max())},
          {"quantiles_ms", quantiles}};
}

double Share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string ProgressLine(const LoadResult& result, int calls_now) {
  return absl::StrFormat("%d calls now, %d started; %d turns, %.1f %% inside; first token %s", calls_now,
                         result.calls_started, result.turns, 100 * Share(result.turns_inside, result.turns),
                         Quantiles(result.first_token));
}

std::string Summary(const LoadResult& result, const LoadOptions& options) {
  std::string text = absl::StrFormat(
      "%s: %.3g calls at once on average, %d at the most, %d in all, for %.0f s\n",
      result.Meets(options.objective) ? "inside the objective" : "OUTSIDE the objective", options.calls,
      result.most_at_once, result.calls_started, absl::ToDoubleSeconds(result.took));
  absl::StrAppendFormat(
      &text, "turns        %d, of which %d answered, %.2f %% with the first token within %.0f ms\n",
      result.turns, result.turns_answered, 100 * Share(result.turns_inside, result.turns),
      Ms(options.objective.first_token));
  absl::StrAppendFormat(&text, "first token  %s, after the end of turn was due\n",
                        Quantiles(result.first_token));
  absl::StrAppendFormat(&text, "token gaps   %s\n", Quantiles(result.token_gap));
  absl::StrAppendFormat(&text, "answers      %d differ from those of a call alone\n", result.turns_other);
  absl::StrAppendFormat(&text, "calls        %d ended properly, %d refused, %d failed\n", result.calls_ended,
                        result.calls_refused,
                        result.calls_started - result.calls_ended - result.calls_refused);
  for (const auto& [what, count] : result.failures)
    absl::StrAppendFormat(&text, "             %d x %s\n", count, what);
  if (result.lateness.Quantile(0.99) > absl::Milliseconds(20)) {
    absl::StrAppendFormat(&text, "sender       late itself: %s; this machine is too small for the load\n",
                          Quantiles(result.lateness));
  }
  return text;
}

std::string JsonLine(const LoadResult& result, const LoadOptions& options) {
  nlohmann::json failures = nlohmann::json::object();
  for (const auto& [what, count] : result.failures) failures[what] = count;
  const nlohmann::json line = {
      {"suite", "load"},
      {"figure", "turns_inside"},
      {"ours", Share(result.turns_inside, result.turns)},
      {"peer", nullptr},
      {"unit", "share"},
      {"better", "higher"},
      {"setting",
       {{"calls", options.calls},
        {"duration_s", absl::ToDoubleSeconds(options.duration)},
        {"seed", options.seed},
        {"first_token_ms", Ms(options.objective.first_token)},
        {"token_gap_ms", Ms(options.objective.token_gap)},
        {"share", options.objective.share}}},
      {"met", result.Meets(options.objective)},
      {"calls_started", result.calls_started},
      {"calls_ended", result.calls_ended},
      {"calls_refused", result.calls_refused},
      {"most_at_once", result.most_at_once},
      {"turns", result.turns},
      {"turns_answered", result.turns_answered},
      {"turns_other", result.turns_other},
      {"failures", failures},
      {"first_token", QuantilesJson(result.first_token)},
      {"token_gap", QuantilesJson(result.token_gap)},
      {"lateness", QuantilesJson(result.lateness)},
  };
  return line.dump();
}

}  // namespace parley::client

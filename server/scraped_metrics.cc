#include "server/scraped_metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <limits>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "server/listener.h"
#include "server/log.h"
#include "streaming/decoders/picture_decoders.h"

namespace parley::server {
namespace {

using prometheus::MetricType;

prometheus::MetricFamily One(const char* name, const char* help, MetricType type, double value) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric metric;
  if (type == MetricType::Gauge) {
    metric.gauge.value = value;
  } else {
    metric.counter.value = value;
  }
  family.metric.push_back(metric);
  return family;
}

// A counter with one label.
prometheus::MetricFamily ByReason(const char* name, const char* help,
                                  const std::vector<std::pair<const char*, int64_t>>& counts) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = MetricType::Counter;
  for (const auto& [reason, count] : counts) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"reason", reason}};
    metric.counter.value = static_cast<double>(count);
  }
  return family;
}

class LogCollector : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    const LogCounts counts = CountsOfLog();
    return {
        One("parley_log_lines_lost_total", "Log lines that stderr did not take in time.", MetricType::Counter,
            static_cast<double>(counts.lost)),
        One("parley_log_lines_left_out_total", "Log lines over the limit of their event.",
            MetricType::Counter, static_cast<double>(counts.left_out)),
    };
  }
};

class EngineCollector : public prometheus::Collectable {
 public:
  explicit EngineCollector(const engine::Engine* engine) : engine_(engine) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const engine::EngineStats stats = engine_->stats();
    return {
        One("parley_engine_conversations", "Conversations the engine holds.", MetricType::Gauge,
            stats.conversations),
        One("parley_engine_queued_operations", "Conversation operations that wait for the model thread.",
            MetricType::Gauge, stats.queued_operations),
        One("parley_engine_kv_bytes", "Bytes of KV cache in use.", MetricType::Gauge, stats.kv_bytes),
        One("parley_engine_kv_pages", "Pages the KV cache may have; 0: it is not paged.", MetricType::Gauge,
            stats.kv_pages),
        One("parley_engine_kv_pages_in_use", "Pages of the KV cache in use.", MetricType::Gauge,
            stats.kv_pages_in_use),
        One("parley_engine_kv_pages_shared", "Pages in use that several hold: shared system prompts.",
            MetricType::Gauge, stats.kv_pages_shared),
        One("parley_engine_frames_forgotten_total", "Frames that left their conversation's context.",
            MetricType::Counter, stats.frames_forgotten),
        One("parley_engine_compactions_total", "Conversations that dropped their oldest turns.",
            MetricType::Counter, stats.compactions),
        One("parley_engine_pass_age_seconds",
            "How long the engine has been in the step it is in; 0: in none.", MetricType::Gauge,
            absl::ToDoubleSeconds(stats.pass_age)),
        One("parley_engine_token_interval_seconds", "Smoothed time between two tokens of an answer.",
            MetricType::Gauge, absl::ToDoubleSeconds(stats.token_interval)),
        One("parley_engine_conversation_load",
            "Share of the engine's time that a conversation takes, on average of the last half minute.",
            MetricType::Gauge, stats.conversation_load),
        Spread("parley_engine_step_seconds", "Time of a step of the language model.", stats.step_seconds),
        Spread("parley_engine_step_conversations", "Conversations a step served.", stats.step_conversations),
        Spread("parley_engine_step_rows", "Rows (tokens) a step held.", stats.step_rows),
        One("parley_engine_speculative_rows_total", "Of these, for answers that nobody waited for yet.",
            MetricType::Counter, stats.speculative_rows),
        One("parley_engine_prefilled_tokens_total", "Tokens prefilled.", MetricType::Counter,
            stats.prefilled_tokens),
        One("parley_engine_generated_tokens_total", "Tokens generated.", MetricType::Counter,
            stats.generated_tokens),
    };
  }

 private:
  static prometheus::MetricFamily Spread(const char* name, const char* help,
                                         const engine::Distribution& from) {
    prometheus::MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = MetricType::Histogram;
    prometheus::ClientMetric::Histogram histogram;
    histogram.sample_count = static_cast<uint64_t>(from.count());
    histogram.sample_sum = from.sum();
    uint64_t up_to = 0;
    for (size_t i = 0; i < from.counts().size(); ++i) {
      up_to += static_cast<uint64_t>(from.counts()[i]);
      const double bound =
          i < from.bounds().size() ? from.bounds()[i] : std::numeric_limits<double>::infinity();
      histogram.bucket.push_back({up_to, bound});
    }
    family.metric.emplace_back().histogram = std::move(histogram);
    return family;
  }

  const engine::Engine* const engine_;
};

class ListenerCollector : public prometheus::Collectable {
 public:
  explicit ListenerCollector(const Listener* listener) : listener_(listener) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const Listener::Counts counts = listener_->counts();
    return {
        One("parley_connections_open", "Connections that are open now, to within a second.",
            MetricType::Gauge, counts.open),
        One("parley_connections_accepted_total", "Connections that were taken. Those not open are closed.",
            MetricType::Counter, static_cast<double>(counts.accepted)),
        ByReason(
            "parley_connections_refused_total",
            "Connections closed at once, by reason: full (as many as may be), peer (the peer has as many "
            "as it may), descriptors (they had run out).",
            {{"full", counts.refused_full},
             {"peer", counts.refused_peer},
             {"descriptors", counts.refused_descriptors}}),
        One("parley_listener_reopened_total", "Times that the listening socket was lost and opened again.",
            MetricType::Counter, static_cast<double>(counts.reopened)),
    };
  }

 private:
  const Listener* const listener_;
};

class PicturesCollector : public prometheus::Collectable {
 public:
  explicit PicturesCollector(const streaming::PictureDecoders* pictures) : pictures_(pictures) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const streaming::PictureDecoderCounts counts = pictures_->counts();
    return {
        One("parley_picture_decoders_started_total", "Processes that were started to decode calls' pictures.",
            MetricType::Counter, static_cast<double>(counts.started)),
        ByReason("parley_picture_decoders_lost_total",
                 "Of these, those that ended before their call, by reason: overdue (over the limit of time), "
                 "killed (as when memory is short), crashed (that, or they did or said what they may not). "
                 "The call's next frame has another.",
                 {{"overdue", counts.overdue}, {"killed", counts.killed}, {"crashed", counts.crashed}}),
        One("parley_picture_fork_server_restarts_total",
            "Times that parley-decoder, from which they come, was lost and started again.",
            MetricType::Counter, static_cast<double>(counts.fork_server_restarts)),
    };
  }

 private:
  const streaming::PictureDecoders* const pictures_;
};

}  // namespace

std::vector<std::shared_ptr<prometheus::Collectable>> MakeScrapedMetrics(const MetricSources& sources) {
  std::vector<std::shared_ptr<prometheus::Collectable>> made = {std::make_shared<LogCollector>()};
  if (sources.engine != nullptr) made.push_back(std::make_shared<EngineCollector>(sources.engine));
  if (sources.listener != nullptr) made.push_back(std::make_shared<ListenerCollector>(sources.listener));
  if (sources.pictures != nullptr) made.push_back(std::make_shared<PicturesCollector>(sources.pictures));
  return made;
}

}  // namespace parley::server

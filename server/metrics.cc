#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/address.h"
#include "server/log.h"
#include "server/scraped_metrics.h"

namespace parley::server {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

constexpr double kMicroseconds = 1e-6;
constexpr double kMilliseconds = 1e-3;

const Histogram::BucketBoundaries& LatencyBuckets() {
  static const auto* const buckets = new Histogram::BucketBoundaries{
      .0005, .001, .002, .005, .01, .02, .05, .1, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 10, 30};
  return *buckets;
}

}  // namespace

struct Metrics::Impl {
  Histogram& Stage(const char* stage) { return turn_stage.Add({{"stage", stage}}, LatencyBuckets()); }

  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::vector<std::shared_ptr<prometheus::Collectable>> scraped;

  Histogram& admission_wait = BuildHistogram()
                                  .Name("parley_admission_wait_seconds")
                                  .Help("How long a stream waited for its place.")
                                  .Register(*registry)
                                  .Add({}, Histogram::BucketBoundaries{.01, .1, .5, 1, 2, 5, 10, 20, 30, 60});
  Gauge& calls_waiting = BuildGauge()
                             .Name("parley_calls_waiting")
                             .Help("Streams that wait for a place now.")
                             .Register(*registry)
                             .Add({});
  Counter& calls_opened = BuildCounter()
                              .Name("parley_calls_opened_total")
                              .Help("Calls that got SessionReady.")
                              .Register(*registry)
                              .Add({});
  Gauge& calls_active =
      BuildGauge().Name("parley_calls_active").Help("Calls that are open now.").Register(*registry).Add({});
  Family<Counter>& calls_ended =
      BuildCounter()
          .Name("parley_calls_ended_total")
          .Help(
              "Open calls that ended, by reason: completed, client_gone, or the code of "
              "the error that ended it.")
          .Register(*registry);
  Histogram& call_seconds =
      BuildHistogram()
          .Name("parley_call_seconds")
          .Help("Length of a call, from SessionReady to its end.")
          .Register(*registry)
          .Add({}, Histogram::BucketBoundaries{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400});
  Family<Counter>& calls_refused = BuildCounter()
                                       .Name("parley_calls_refused_total")
                                       .Help("Streams that never became an open call, by the code they got.")
                                       .Register(*registry);
  Family<Counter>& turns = BuildCounter()
                               .Name("parley_turns_total")
                               .Help("User turns committed, by what ended them.")
                               .Register(*registry);
  Counter& tokens = BuildCounter()
                        .Name("parley_answer_tokens_total")
                        .Help("Tokens of finished answers.")
                        .Register(*registry)
                        .Add({});
  Family<Counter>& answers = BuildCounter()
                                 .Name("parley_answers_total")
                                 .Help("Answers that ended, by finish reason.")
                                 .Register(*registry);
  Family<Counter>& dismissals = BuildCounter()
                                    .Name("parley_speech_dismissed_total")
                                    .Help("Sounds over an answer that were no turn, by reason.")
                                    .Register(*registry);
  Counter& interruptions = BuildCounter()
                               .Name("parley_interruptions_total")
                               .Help("Answers that the user talked over or stopped by new input.")
                               .Register(*registry)
                               .Add({});
  Counter& frames_received = BuildCounter()
                                 .Name("parley_frames_received_total")
                                 .Help("Video frames taken from clients.")
                                 .Register(*registry)
                                 .Add({});
  Family<Counter>& frames = BuildCounter()
                                .Name("parley_frames_total")
                                .Help("Video frames whose fate is known, by outcome and reason.")
                                .Register(*registry);
  Histogram& frame_age = BuildHistogram()
                             .Name("parley_frame_age_seconds")
                             .Help(
                                 "Capture of a frame to the moment it was in the prompt, of clients that say "
                                 "when they capture; the connection's smallest delay is left out.")
                             .Register(*registry)
                             .Add({}, LatencyBuckets());
  Family<Histogram>& frame_stage = BuildHistogram()
                                       .Name("parley_frame_stage_seconds")
                                       .Help(
                                           "Where the time of an encoded frame went, by stage: queue, encode "
                                           "(the vision encoder), prefill.")
                                       .Register(*registry);
  Histogram& frame_queue = frame_stage.Add({{"stage", "queue"}}, LatencyBuckets());
  Histogram& frame_encode = frame_stage.Add({{"stage", "encode"}}, LatencyBuckets());
  Histogram& frame_prefill = frame_stage.Add({{"stage", "prefill"}}, LatencyBuckets());
  Counter& audio_seconds = BuildCounter()
                               .Name("parley_audio_seconds_total")
                               .Help("Seconds of audio taken from clients.")
                               .Register(*registry)
                               .Add({});
  Family<Counter>& errors =
      BuildCounter().Name("parley_errors_total").Help("Errors sent to clients, by code.").Register(*registry);
  Family<Counter>& warnings = BuildCounter()
                                  .Name("parley_warnings_total")
                                  .Help("Warnings sent to clients, by code.")
                                  .Register(*registry);
  Family<Counter>& speculations =
      BuildCounter()
          .Name("parley_turn_speculation_total")
          .Help(
              "Turns by what became of the answer begun at a pause: hit, miss, or none (none was begun). The "
              "hit rate is hit / (hit + miss).")
          .Register(*registry);
  Counter& wasted_tokens = BuildCounter()
                               .Name("parley_speculation_wasted_tokens_total")
                               .Help("Tokens held for answers that came to nothing.")
                               .Register(*registry)
                               .Add({});
  Family<Counter>& transcript_tokens = BuildCounter()
                                           .Name("parley_transcript_tokens_total")
                                           .Help(
                                               "Tokens of transcripts, by when they were written: early "
                                               "(while the user still spoke), or late.")
                                           .Register(*registry);
  Counter& early_tokens = transcript_tokens.Add({{"when", "early"}});
  Counter& late_tokens = transcript_tokens.Add({{"when", "late"}});
  Family<Histogram>& turn_stage =
      BuildHistogram()
          .Name("parley_turn_stage_seconds")
          .Help(
              "Where a turn's time went, by stage of TurnMetrics: uplink (capture of the last of the speech "
              "to its arrival), endpoint (end of speech to end of turn decided), "
              "speech_queue, speech_encode, prefill_queue, prefill, first_token (prefilled to first token "
              "made), held (of a hit: made to end of turn decided), "
              "first_write (made or released to handed to the transport), generation (first to last token).")
          .Register(*registry);
  Histogram& uplink = Stage("uplink");
  Histogram& endpoint = Stage("endpoint");
  Histogram& speech_queue = Stage("speech_queue");
  Histogram& speech_encode = Stage("speech_encode");
  Histogram& prefill_queue = Stage("prefill_queue");
  Histogram& prefill = Stage("prefill");
  Histogram& first_token = Stage("first_token");
  Histogram& held = Stage("held");
  Histogram& first_write = Stage("first_write");
  Histogram& generation = Stage("generation");
  Histogram& response_latency = BuildHistogram()
                                    .Name("parley_response_latency_seconds")
                                    .Help("End of turn decided to first token handed to the transport.")
                                    .Register(*registry)
                                    .Add({}, LatencyBuckets());

  // Last: it stops serving before what it serves goes.
  std::unique_ptr<prometheus::Exposer> exposer;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::CallAdmitted(absl::Duration waited) {
  impl_->admission_wait.Observe(absl::ToDoubleSeconds(waited));
}

void Metrics::CallsWaiting(int count) { impl_->calls_waiting.Set(count); }

void Metrics::CallOpened() {
  impl_->calls_opened.Increment();
  impl_->calls_active.Increment();
}

void Metrics::CallEnded(std::string_view reason, absl::Duration length) {
  impl_->calls_active.Decrement();
  impl_->calls_ended.Add({{"reason", std::string(reason)}}).Increment();
  impl_->call_seconds.Observe(absl::ToDoubleSeconds(length));
}

void Metrics::CallRefused(v1::Code code) { impl_->calls_refused.Add({{"code", LabelOf(code)}}).Increment(); }
void Metrics::AudioTaken(double seconds) { impl_->audio_seconds.Increment(seconds); }
void Metrics::FrameTaken() { impl_->frames_received.Increment(); }

void Metrics::Sent(const v1::ServerMessage& message) {
  Impl& to = *impl_;
  switch (message.payload_case()) {
    case v1::ServerMessage::kInputStatus: {
      const v1::InputStatus& frame = message.input_status();
      to.frames
          .Add({{"outcome", absl::AsciiStrToLower(v1::InputStatus::Outcome_Name(frame.outcome()))},
                {"reason", frame.reason() == v1::InputStatus::REASON_UNSPECIFIED
                               ? "none"
                               : absl::AsciiStrToLower(v1::InputStatus::Reason_Name(frame.reason()))}})
          .Increment();
      if (frame.outcome() != v1::InputStatus::ENCODED) break;
      if (frame.has_age_ms()) to.frame_age.Observe(frame.age_ms() * kMilliseconds);
      to.frame_queue.Observe(frame.queue_us() * kMicroseconds);
      to.frame_encode.Observe(frame.encode_us() * kMicroseconds);
      to.frame_prefill.Observe(frame.prefill_us() * kMicroseconds);
      break;
    }
    case v1::ServerMessage::kTurnCommitted:
      to.turns
          .Add({{"reason",
                 absl::AsciiStrToLower(v1::TurnCommitted::Reason_Name(message.turn_committed().reason()))}})
          .Increment();
      break;
    case v1::ServerMessage::kSpeechDismissed:
      to.dismissals
          .Add({{"reason", absl::AsciiStrToLower(
                               v1::SpeechDismissed::Reason_Name(message.speech_dismissed().reason()))}})
          .Increment();
      break;
    case v1::ServerMessage::kInterrupted:
      to.interruptions.Increment();
      break;
    case v1::ServerMessage::kResponseDone:
      to.tokens.Increment(message.response_done().usage().answer_tokens());
      to.answers
          .Add({{"reason", absl::AsciiStrToLower(v1::ResponseDone::FinishReason_Name(
                               message.response_done().finish_reason()))}})
          .Increment();
      break;
    case v1::ServerMessage::kWarning:
      to.warnings.Add({{"code", LabelOf(message.warning().code())}}).Increment();
      break;
    case v1::ServerMessage::kError:
      to.errors.Add({{"code", LabelOf(message.error().code())}}).Increment();
      break;
    case v1::ServerMessage::kMetrics: {
      const v1::TurnMetrics& turn = message.metrics();
      to.uplink.Observe(turn.uplink_us() * kMicroseconds);
      to.endpoint.Observe(turn.endpoint_us() * kMicroseconds);
      to.speech_queue.Observe(turn.speech_queue_us() * kMicroseconds);
      to.speech_encode.Observe(turn.speech_encode_us() * kMicroseconds);
      to.prefill_queue.Observe(turn.prefill_queue_us() * kMicroseconds);
      to.prefill.Observe(turn.prefill_us() * kMicroseconds);
      to.first_token.Observe(turn.first_token_us() * kMicroseconds);
      if (turn.speculation() == v1::TurnMetrics::HIT) to.held.Observe(turn.held_us() * kMicroseconds);
      to.speculations
          .Add({{"outcome", absl::AsciiStrToLower(v1::TurnMetrics::Speculation_Name(turn.speculation()))}})
          .Increment();
      to.wasted_tokens.Increment(turn.wasted_tokens());
      to.early_tokens.Increment(turn.transcript_tokens_early());
      // A server's own counts: early ones are never more than all.
      to.late_tokens.Increment(turn.transcript_tokens() - turn.transcript_tokens_early());
      to.first_write.Observe(turn.first_write_us() * kMicroseconds);
      to.generation.Observe(turn.generation_us() * kMicroseconds);
      // A turn without an answer has no latency.
      if (turn.response_latency_us() > 0)
        to.response_latency.Observe(turn.response_latency_us() * kMicroseconds);
      break;
    }
    default:
      break;
  }
}

absl::Status Metrics::Serve(const std::string& address, const MetricSources& sources) {
  try {
    impl_->exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", address,
        // Who is slow, or says nothing, holds one of the threads for no longer than the time limit, so a
        // scrape waits for that at most. Connections over the threads and the queue wait unaccepted in the
        // backlog.
        "num_threads", "8",            //
        "request_timeout_ms", "1000",  //
        "enable_keep_alive", "no",     //
        "connection_queue", "16",      //
        "listen_backlog", "16",        //
        "max_request_size", "8192",    //
    });
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(
        "cannot serve metrics at ", address, " (is the port taken?",
        absl::StrContains(address, '[')
            ? " Or is this system's CivetWeb, like Debian's, built without IPv6: then an IPv4 address?"
            : "",
        "): ", error.what()));
  }
  if (const absl::StatusOr<HostPort> parts = SplitHostPort(address); parts.ok() && !IsLoopback(parts->host)) {
    Log(LogLevel::kWarn, "metrics are served to the network, in the clear and to everybody",
        {{"address", address}});
  }
  impl_->exposer->RegisterCollectable(impl_->registry);
  impl_->scraped = MakeScrapedMetrics(sources);
  for (const auto& collectable : impl_->scraped) impl_->exposer->RegisterCollectable(collectable);
  return absl::OkStatus();
}

void Metrics::Stop() { impl_->exposer.reset(); }

int Metrics::port() const {
  if (impl_->exposer == nullptr) return 0;
  const std::vector<int> ports = impl_->exposer->GetListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

std::string LabelOf(v1::Code code) {
  const std::string& name = v1::Code_Name(code);
  return name.empty() ? "unknown" : absl::AsciiStrToLower(name);
}

}  // namespace parley::server

#include "clients/cpp/parley_call/printer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/util/json_util.h"

namespace parley::client {
namespace {

using Style = Terminal::Style;

std::string Lower(const std::string& name) {
  return absl::AsciiStrToLower(absl::StrReplaceAll(name, {{"_", " "}}));
}

// "int8", without how it was chosen.
std::string Arithmetic(const v1::ModelInfo& model) {
  return model.arithmetic().substr(0, model.arithmetic().find(" ("));
}

double Ms(uint64_t us) { return static_cast<double>(us) / 1e3; }

}  // namespace

Printer::Printer(std::ostream& out, PrinterOptions options, const Clock* clock)
    : out_(out), options_(options), terminal_(out, options.color, clock) {}

void Printer::Print(const v1::ServerMessage& event) {
  if (!options_.json) return PrintHuman(event);
  google::protobuf::util::JsonPrintOptions json;
  json.preserve_proto_field_names = true;
  std::string line;
  const auto status = google::protobuf::util::MessageToJsonString(event, &line, json);
  if (!status.ok()) line = absl::StrFormat("{\"unprintable\": %d}", event.payload_case());
  out_ << line << std::endl;
}

void Printer::PrintHuman(const v1::ServerMessage& event) {
  switch (event.payload_case()) {
    case v1::ServerMessage::kReady: {
      const v1::ModelInfo& model = event.ready().model();
      if (turns_ == 0) terminal_.CountFromNow();
      std::string parts = model.language_model();
      for (const std::string* part :
           {&model.audio_encoder(), &model.vision_encoder(), &model.speech_detector()}) {
        if (!part->empty()) absl::StrAppend(&parts, ", ", *part);
      }
      terminal_.Line("call",
                     absl::StrCat(event.ready().call_id(), " on ", model.bundle(), " (", parts, "; ",
                                  Arithmetic(model), ")"),
                     Style::kDim);
      break;
    }
    case v1::ServerMessage::kInputStatus: {
      const v1::InputStatus& status = event.input_status();
      if (status.outcome() == v1::InputStatus::ENCODED) {
        ++frames_seen_;
        const std::string what =
            status.description().empty() ? absl::StrCat("frame ", status.frame_id()) : status.description();
        terminal_.Line("camera",
                       options_.verbose ? absl::StrCat(what, " (frame ", status.frame_id(), ")") : what,
                       Style::kDim);
      } else {
        ++frames_dropped_;
        if (options_.verbose || status.reason() == v1::InputStatus::UNDECODABLE) {
          terminal_.Line("camera",
                         absl::StrCat("frame ", status.frame_id(), " not looked at: ",
                                      Lower(v1::InputStatus::Reason_Name(status.reason())),
                                      status.detail().empty() ? "" : absl::StrCat(": ", status.detail())),
                         Style::kDim);
        }
      }
      break;
    }
    case v1::ServerMessage::kSpeechStarted:
      if (options_.verbose) {
        terminal_.Line("speech",
                       absl::StrFormat("starts at sample %d (p %.2f)", event.speech_started().sample_index(),
                                       event.speech_started().probability()),
                       Style::kDim);
      }
      break;
    case v1::ServerMessage::kSpeechStopped:
      if (options_.verbose) {
        terminal_.Line("speech",
                       absl::StrFormat("stops at sample %d (p %.2f)", event.speech_stopped().sample_index(),
                                       event.speech_stopped().probability()),
                       Style::kDim);
      }
      break;
    case v1::ServerMessage::kTurnCommitted:
      ++turns_;
      if (options_.verbose) {
        terminal_.Line("turn",
                       absl::StrCat(event.turn_id(), " ends: ",
                                    Lower(v1::TurnCommitted::Reason_Name(event.turn_committed().reason()))),
                       Style::kDim);
      }
      break;
    case v1::ServerMessage::kTranscript:
      terminal_.Line("you",
                     event.transcript().text().empty() ? "(no words recognised)" : event.transcript().text(),
                     Style::kPlain);
      break;
    case v1::ServerMessage::kToken:
      terminal_.Answer(event.token().text());
      break;
    case v1::ServerMessage::kResponsePaused:
      if (options_.verbose) {
        terminal_.CloseAnswer();
        terminal_.Line("turn", "the answer waits: sound over it", Style::kDim);
      }
      break;
    case v1::ServerMessage::kResponseResumed:
      if (options_.verbose) terminal_.Line("turn", "the answer goes on", Style::kDim);
      break;
    case v1::ServerMessage::kSpeechDismissed:
      if (options_.verbose) {
        terminal_.Line(
            "speech",
            absl::StrCat("is no turn: ",
                         Lower(v1::SpeechDismissed::Reason_Name(event.speech_dismissed().reason()))),
            Style::kDim);
      }
      break;
    case v1::ServerMessage::kInterrupted:
      terminal_.CloseAnswer(" --");
      if (options_.verbose) {
        terminal_.Line("turn",
                       absl::StrCat("interrupted; ", event.interrupted().tokens_kept(), " tokens kept"),
                       Style::kDim);
      }
      break;
    case v1::ServerMessage::kResponseDone: {
      terminal_.CloseAnswer();
      const auto reason = event.response_done().finish_reason();
      if (reason != v1::ResponseDone::END_OF_TURN && reason != v1::ResponseDone::INTERRUPTED &&
          reason != v1::ResponseDone::STOP_STRING) {
        terminal_.Line("turn",
                       absl::StrCat("the answer ended: ", Lower(v1::ResponseDone::FinishReason_Name(reason))),
                       Style::kDim);
      }
      break;
    }
    case v1::ServerMessage::kContextCompacted:
      if (options_.verbose) {
        const v1::ContextCompacted& compacted = event.context_compacted();
        terminal_.Line("context",
                       absl::StrCat(compacted.turns_dropped(), " oldest turns forgotten: ",
                                    compacted.tokens_before(), " tokens, now ", compacted.tokens_after(),
                                    " (", Lower(v1::ContextCompacted::Reason_Name(compacted.reason())), ")"),
                       Style::kDim);
      }
      break;
    case v1::ServerMessage::kMetrics:
      if (options_.timing)
        terminal_.Line("timing", TimingLine(event.turn_id(), event.metrics()), Style::kDim);
      break;
    case v1::ServerMessage::kWarning:
      terminal_.Line("warning",
                     absl::StrCat(v1::Code_Name(event.warning().code()), ": ", event.warning().message()),
                     Style::kRed);
      break;
    case v1::ServerMessage::kError:
      terminal_.Line("error",
                     absl::StrCat(v1::Code_Name(event.error().code()), ": ", event.error().message()),
                     Style::kRed);
      break;
    case v1::ServerMessage::kAdmission: {
      const v1::AdmissionStatus& admission = event.admission();
      std::string wait = absl::StrCat("the server is full; place ", admission.position(), " in the queue");
      if (admission.has_estimated_wait_ms()) {
        absl::StrAppendFormat(&wait, ", about %.0f s", admission.estimated_wait_ms() / 1e3);
      }
      terminal_.Line("call", wait, Style::kDim);
      break;
    }
    case v1::ServerMessage::kGoAway:
      terminal_.Line(
          "call",
          absl::StrFormat("the server is going down; %.0f s left", event.go_away().time_left_ms() / 1e3),
          Style::kRed);
      break;
    case v1::ServerMessage::kResponseStarted:
    case v1::ServerMessage::kPong:
    case v1::ServerMessage::PAYLOAD_NOT_SET:
      break;
  }
}

void Printer::PrintEnd(const absl::Status& outcome) {
  terminal_.CloseAnswer();
  if (options_.json) return;
  std::string text = outcome.ok() ? "ended properly" : absl::StrCat("failed: ", outcome.message());
  absl::StrAppend(&text, "; ", turns_, turns_ == 1 ? " turn" : " turns");
  if (frames_seen_ + frames_dropped_ > 0) {
    absl::StrAppend(&text, ", ", frames_seen_, " of ", frames_seen_ + frames_dropped_, " frames looked at");
  }
  terminal_.Line("call", text, outcome.ok() ? Style::kDim : Style::kRed);
}

std::string TimingLine(uint64_t turn_id, const v1::TurnMetrics& metrics) {
  std::string line = absl::StrFormat("turn %d: first token %.0f ms after the end of turn was decided",
                                     turn_id, Ms(metrics.response_latency_us()));
  if (metrics.held_us() > 0) {
    absl::StrAppendFormat(&line, ", ready %.0f ms before it", Ms(metrics.held_us()));
  }
  absl::StrAppendFormat(&line, " (transcribe %.0f+%.0f, prefill %.0f+%.0f, first token %.0f, write %.1f)",
                        Ms(metrics.speech_queue_us()), Ms(metrics.speech_encode_us()),
                        Ms(metrics.prefill_queue_us()), Ms(metrics.prefill_us()),
                        Ms(metrics.first_token_us()), Ms(metrics.first_write_us()));
  if (metrics.endpoint_us() > 0) {
    absl::StrAppendFormat(&line, "; decided %.0f ms after %.1f s of speech", Ms(metrics.endpoint_us()),
                          metrics.speech_ms() / 1e3);
  }
  absl::StrAppendFormat(&line, "; %d tokens", metrics.answer_tokens());
  if (metrics.answer_tokens() > 1 && metrics.generation_us() > 0) {
    absl::StrAppendFormat(&line, ", %.0f/s", (metrics.answer_tokens() - 1) * 1e6 / metrics.generation_us());
  }
  absl::StrAppendFormat(&line, "; %d of %d prompt tokens prefilled early", metrics.tokens_prefilled_early(),
                        metrics.tokens_prefilled());
  if (metrics.transcript_tokens_early() > 0) {
    absl::StrAppendFormat(&line, "; %d of %d transcript tokens written early",
                          metrics.transcript_tokens_early(), metrics.transcript_tokens());
  }
  if (metrics.speculation() == v1::TurnMetrics::HIT && metrics.speculations() > 1) {
    absl::StrAppendFormat(&line, "; begun %d times", metrics.speculations());
  } else if (metrics.speculation() == v1::TurnMetrics::MISS) {
    absl::StrAppendFormat(&line, "; begun %d times in vain", metrics.speculations());
  }
  if (metrics.wasted_tokens() > 0)
    absl::StrAppendFormat(&line, ", %d tokens wasted", metrics.wasted_tokens());
  return line;
}

}  // namespace parley::client

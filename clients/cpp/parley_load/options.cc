#include "clients/cpp/parley_load/options.h"

#include <limits>

#include "CLI/CLI.hpp"
#include "clients/cpp/field_flag.h"
#include "clients/cpp/server_flags.h"

namespace parley::client {
namespace {

constexpr char kDescription[] =
    R"(Loads a Parley server with calls and says whether it kept its promises.

  parley-load --file call.mp4 --calls 8 --duration 60
  parley-load --file call.mp4 --search             the most calls inside the objective

Calls start at random times (Poisson), whatever the server does; each sends the recording at the pace of a live
call. Latency counts from the moment the recording's turn should have ended. Before the load one call is placed
alone: every answer under load is compared with its.

The exit code is 0 when the objective was met, 1 when it was not or the server could not be reached, 2 when the
command line is wrong.
)";

}  // namespace

std::optional<LoadProgramOptions> ParseLoadOptions(int argc, const char* const* argv, int* exit_code) {
  LoadProgramOptions options;
  CLI::App app(kDescription, "parley-load");
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", PARLEY_VERSION);
  AddServerFlags(app, options.channel);
  app.add_option("--wait", options.wait_s, "How long to wait for the server to be ready")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.0, 3600.0)))
      ->group("Server");
  app.add_option("--file", options.files,
                 "A recorded call with sound; repeatable, each call takes one by chance")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->required();
  bool pcm = false;
  app.add_flag("--pcm", pcm, "Send sound as PCM16 instead of Opus");
  app.add_option("--calls", options.load.calls, "Calls at once, on average")
      ->type_name("N")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.1, 10'000.0)));
  double duration_s = 60;
  app.add_option("--duration", duration_s, "How long turns are counted, once the load has built up")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(1.0, 86'400.0)));
  app.add_option("--seed", options.load.seed, "Of the times at which calls start")
      ->type_name("N")
      ->check(Valid(WholeNumber(0, std::numeric_limits<decltype(options.load.seed)>::max())))
      ->capture_default_str();
  double first_token_ms = absl::ToDoubleMilliseconds(options.load.objective.first_token);
  double token_gap_ms = absl::ToDoubleMilliseconds(options.load.objective.token_gap);
  app.add_option("--first-token-ms", first_token_ms, "Objective: end of turn due -> first token")
      ->type_name("MS")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.0, 60'000.0)));
  app.add_option("--token-gap-ms", token_gap_ms, "Objective: between tokens, 99th percentile")
      ->type_name("MS")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.0, 60'000.0)));
  app.add_option("--share", options.load.objective.share, "Objective: share of turns that must meet it")
      ->type_name("SHARE")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.0, 1.0)));
  app.add_flag("--search", options.search, "Look for the most calls at once that meet the objective");
  app.add_option("--most-calls", options.most_calls, "Where --search stops")
      ->type_name("N")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(1.0, 10'000.0)));
  app.add_option("--json", options.json, "Append one JSON object a run to this file; - is standard output")
      ->type_name("FILE");
  AddFieldFlag(app, "--max-tokens", "Tokens an answer may have", options.config.mutable_generation(),
               v1::GenerationConfig::kMaxTokensFieldNumber)
      ->type_name("N");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  options.load.duration = absl::Seconds(duration_s);
  options.load.objective.first_token = absl::Milliseconds(first_token_ms);
  options.load.objective.token_gap = absl::Milliseconds(token_gap_ms);
  options.channel.own_connection = true;
  if (pcm) options.source.audio_codec = media::AudioCodec::kPcm16;
  return options;
}

}  // namespace parley::client

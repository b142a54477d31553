#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/number_text.h"
#include "base/read_file.h"
#include "server/config_file.h"
#include "server/version.h"

namespace parley::server {
namespace {

constexpr size_t kMostConfigBytes = 1 << 20;

CLI::Validator Valid(NumberCheck check) {
  return CLI::Validator(std::move(check.fault), std::move(check.range));
}

// A flag in seconds over an absl::Duration.
void AddSeconds(CLI::App& app, const std::string& name, absl::Duration& to, const std::string& help,
                double low, double high) {
  app.add_option_function<double>(
         name, [&to](const double& seconds) { to = absl::Seconds(seconds); }, help)
      ->check(Valid(FiniteNumber(low, high)))
      ->default_str(absl::StrCat(absl::ToDoubleSeconds(to)))
      ->type_name("SECONDS");
}

void AddInt(CLI::App& app, const std::string& name, int& to, const std::string& help, int low, int high,
            const std::string& unit) {
  app.add_option(name, to, help)
      ->check(Valid(WholeNumber(low, high)))
      ->capture_default_str()
      ->type_name(unit);
}

void AddNetwork(CLI::App& app, ServerOptions& to) {
  app.option_defaults()->group("Network");
  app.add_option(
         "--address", to.address,
         "IP address or name to take calls at, or unix:PATH: a socket file, for a proxy on this machine")
      ->capture_default_str();
  AddInt(app, "--port", to.port, "Port to take calls at; 0: any free one, printed at start", 0, 65'535,
         "PORT");
  app.add_option("--tls-cert", to.tls_cert, "Certificate chain, PEM file; calls then need TLS")
      ->type_name("FILE");
  app.add_option("--tls-key", to.tls_key, "Its private key, PEM file")->type_name("FILE");
  app.add_option("--tls-client-ca", to.tls_client_ca,
                 "Clients must show a certificate of this authority, PEM file")
      ->type_name("FILE");
  app.add_flag("--insecure-any-address", to.insecure_any_address,
               "Take calls without TLS at an address that is not loopback");
  app.add_option("--metrics-address", to.metrics_address, "HTTP address of /metrics, or none")
      ->capture_default_str()
      ->type_name("HOST:PORT");
  AddSeconds(app, "--keepalive", to.keepalive, "Ping a silent connection this often", 1, 3'600);
  AddInt(app, "--max-connections", to.max_connections,
         "Connections at once; fewer where the system does not allow so many descriptors", 1, 1'000'000, "N");
  AddInt(app, "--max-connections-per-peer", to.max_connections_per_peer,
         "Of an IPv4 address or IPv6 /64 network, loopback left out", 1, 1'000'000, "N");
  AddSeconds(app, "--connection-idle-limit", to.connection_idle, "A connection without a stream is closed", 1,
             86'400);
  AddInt(app, "--max-transport-bytes", to.max_transport_bytes,
         "Buffers of all connections; near it gRPC ends some", 16 << 20, 2'000'000'000, "BYTES");
}

void AddCalls(CLI::App& app, ServerOptions& to) {
  app.option_defaults()->group("Calls");
  AddInt(app, "--max-calls", to.max_calls, "Calls at once", 1, 100'000, "N");
  AddInt(app, "--max-waiting", to.max_waiting, "Calls over that which wait for a place", 0, 100'000, "N");
  AddInt(app, "--max-calls-per-peer", to.max_calls_per_peer,
         "Of an IPv4 address or IPv6 /64 network, waiting or not; 0: three quarters of --max-calls, and for "
         "loopback all",
         0, 100'000, "N");
  AddInt(app, "--max-waiting-per-peer", to.max_waiting_per_peer,
         "The same of those that wait; 0: three quarters of --max-waiting", 0, 100'000, "N");
  AddSeconds(app, "--max-wait", to.max_wait, "A call that waits longer is refused", 0, 3'600);
  AddSeconds(app, "--max-token-interval", to.max_token_interval,
             "No more calls while answers come slower than a token in this time", .001, 60);
  app.add_option(
         "--max-load", to.max_load,
         "No more calls than take this share of the engine's time, as measured; more than 1: late answers")
      ->check(Valid(FiniteNumber(0.01, 1e6)))
      ->capture_default_str()
      ->type_name("SHARE");
  AddSeconds(app, "--max-call", to.max_call, "Longest call", 1, 7 * 86'400);
  AddSeconds(app, "--idle-limit", to.idle, "A call without a client message for this long ends", 1, 86'400);
  AddSeconds(app, "--slow-reader-limit", to.slow_reader,
             "A call whose client reads nothing for this long ends", 1, 3'600);
  AddSeconds(app, "--drain-limit", to.drain_limit,
             "After SIGTERM, or SessionClose, calls may finish for this long", 0, 86'400);
  AddSeconds(app, "--retry-after", to.retry_after, "What a refused client is told to wait, at least", 0,
             3'600);
  AddSeconds(app, "--engine-stall", to.engine_stall,
             "An engine that is in one step for this long is taken for lost: calls end, none are taken", .1,
             3'600);
}

void AddLimits(CLI::App& app, ServerOptions& to) {
  app.option_defaults()->group("Limits of one call");
  AddInt(app, "--max-video-frame-bytes", to.max_video_frame_bytes, "Encoded frame", 1, 64 << 20, "BYTES");
  AddInt(app, "--max-audio-chunk-bytes", to.max_audio_chunk_bytes, "Audio chunk", 1, 16 << 20, "BYTES");
  AddInt(app, "--max-video-pixels", to.max_video_pixels, "Decoded frame", 1, 1 << 28, "PIXELS");
  AddInt(app, "--max-text-bytes", to.max_text_bytes, "Typed text", 1, 1 << 20, "BYTES");
  AddInt(app, "--max-instructions-bytes", to.max_instructions_bytes, "System prompt", 0, 1 << 20, "BYTES");
  AddInt(app, "--max-answer-tokens", to.max_answer_tokens, "Answer", 1, 1 << 20, "TOKENS");
  AddInt(app, "--max-audio-gap-ms", to.max_audio_gap_ms, "Missing audio that is filled", 0, 600'000, "MS");
  AddInt(app, "--max-audio-backlog-ms", to.max_audio_backlog_ms,
         "Audio that may wait before the client is slowed down", 200, 600'000, "MS");
  AddInt(app, "--max-queue-messages", to.max_queue_messages, "Messages that may wait to be written", 8,
         1 << 20, "N");
  AddInt(app, "--max-queue-bytes", to.max_queue_bytes, "Bytes that may wait to be written", 4'096, 1 << 30,
         "BYTES");
}

void AddEngine(CLI::App& app, ProgramOptions& to) {
  app.option_defaults()->group("Engine");
  // "torch": what "bundle" was called in 0.1.0; to be dropped with the next release.
  app.add_option("--engine", to.engine,
                 "bundle: --model's models; fake: made-up answers, for load tests only")
      ->check(CLI::IsMember({"bundle", "fake", "torch"}))
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--model", to.model, "Bundle: the folder that holds parley.json")->type_name("DIR");
  app.add_option("--device", to.device,
                 "What computes the language model; cpu: this processor by its fast kernels; torch-cpu: by "
                 "LibTorch's plain operations, slow, to compare with")
      ->check(CLI::IsMember({"cpu", "torch-cpu"}))
      ->capture_default_str()
      ->type_name("NAME");
  AddInt(app, "--threads", to.threads,
         "Threads of tensor arithmetic; 0: as many as the machine, or the container's quota, has", 0, 1'024,
         "N");
  app.add_option(
         "--arithmetic", to.arithmetic,
         "Products of the language model and Whisper; auto: int16 and int8 where the processor has AVX2, "
         "else fp32")
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "int8", "int16"}))
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--kv-bytes", to.kv_bytes,
                 "Memory of all calls' contexts together; 0: a quarter of what is free at the start")
      ->check(Valid(WholeNumber(0, uint64_t{1} << 50)))
      ->capture_default_str()
      ->type_name("BYTES");
  app.add_option("--kv-format", to.kv_format,
                 "How contexts are kept; int8: twice as many tokens in the same memory; auto: fp32 in fp32, "
                 "else fp16")
      ->check(CLI::IsMember({"auto", "fp32", "fp16", "int8"}))
      ->capture_default_str()
      ->type_name("NAME");
  AddInt(app, "--media-threads", to.server.media_threads, "Threads that decode audio and carry what calls do",
         1, 256, "N");
  app.add_option("--picture-decoders", to.server.picture_decoders,
                 "process: each call's pictures are decoded in a process without rights; in-process: in the "
                 "server, where a picture that breaks the decoder breaks every call")
      ->check(CLI::IsMember({"process", "in-process"}))
      ->capture_default_str()
      ->type_name("WHERE");
  app.add_option("--decoder-program", to.server.decoder_program,
                 "The program of those processes; default: parley-decoder beside this one")
      ->type_name("FILE");
}

void AddLog(CLI::App& app, LogOptions& to) {
  app.option_defaults()->group("Log");
  app.add_option("--log-level", to.level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str()
      ->type_name("LEVEL");
  app.add_option("--log-format", to.format, "text: key=value lines; json: an object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->type_name("FORMAT");
}

}  // namespace

absl::StatusOr<ParsedOptions> ParseOptions(int argc, const char* const* argv) {
  ParsedOptions parsed;
  ProgramOptions& options = parsed.options;
  CLI::App app("parley-server: a real-time server for live video-call assistants, over gRPC.");
  app.get_formatter()->column_width(38);
  app.set_version_flag("--version", absl::StrCat("parley-server ", kVersion));
  AddNetwork(app, options.server);
  AddEngine(app, options);
  AddCalls(app, options.server);
  AddLimits(app, options.server);
  AddLog(app, options.log);
  app.option_defaults()->group("Options");
  app.set_config("--config", "",
                 "Reads flags from this file: one name = value a line (TOML, strings in quotes); the command "
                 "line wins")
      ->type_name("FILE")
      ->check(CLI::Validator(
          [](const std::string& path) {
            const absl::Status status = ReadRegularFile(path, kMostConfigBytes).status();
            return std::string(status.message());
          },
          ""))
      ->configurable(false);
  app.config_formatter(std::make_shared<ConfigFile>([&app](const std::string& name) {
    const CLI::Option* flag = app.get_option_no_throw("--" + name);
    return flag != nullptr && flag->get_configurable();
  }));
  app.allow_config_extras(false);
  app.footer(
      "SIGTERM or SIGINT: no new calls, live ones finish within --drain-limit, then exit code 0; a second\n"
      "signal stops at once. SIGHUP: certificates are read again at once. Health: grpc.health.v1 says "
      "SERVING after warm-up.\n"
      "Example: parley-server --model ~/.cache/parley/models/parley-small");
  try {
    app.parse(argc, const_cast<char**>(const_cast<const char* const*>(argv)));
  } catch (const CLI::CallForHelp&) {
    parsed.exit_text = app.help();
    return parsed;
  } catch (const CLI::CallForVersion&) {
    parsed.exit_text = absl::StrCat("parley-server ", kVersion, "\n");
    return parsed;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(absl::StrReplaceAll(error.what(), {{"\n", " "}}), " (see parley-server --help)"));
  }
  if (options.engine == "torch") parsed.options.engine = "bundle";
  if (options.engine == "bundle" && options.model.empty()) {
    return absl::InvalidArgumentError(
        "--model is missing: give the folder that holds parley.json (see parley-server --help)");
  }
  if (absl::Status status = CheckOptions(options.server); !status.ok()) return status;
  return parsed;
}

}  // namespace parley::server

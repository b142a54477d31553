#include "clients/cpp/parley_call/options.h"

#include <utility>

#include "CLI/CLI.hpp"
#include "clients/cpp/field_flag.h"
#include "clients/cpp/server_flags.h"

namespace parley::client {
namespace {

constexpr char kDescription[] =
    R"(Places a call to a Parley server: sends sound and picture, prints what comes back.

  parley-call --file question.mp4               any media file, at the pace of a live call
  parley-call --mic --camera                    microphone and camera; Ctrl-C ends the call
  parley-call --text "What is the capital of France?"
  parley-call --image cat.jpg --text "What animal do you see?"

The exit code is 0 when the call ended properly, 1 when it did not, 2 when the command line is wrong.
)";

}  // namespace

std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code) {
  Options options;
  CLI::App app(kDescription, "parley-call");
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", PARLEY_VERSION);

  AddServerFlags(app, options.channel);
  app.add_option("--wait", options.wait_s, "How long to wait for the server")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.0, 3600.0)))
      ->group("Server");
  app.add_flag("--health", options.health, "Place no call: wait until the server is ready for calls")
      ->group("Server");
  app.add_flag("--capabilities", options.capabilities,
               "Place no call: print what the server accepts, its limits and defaults")
      ->group("Server");

  auto* file = app.add_option("--file", options.file, "A media file with sound, picture or both")
                   ->type_name("FILE")
                   ->group("What is sent");
  auto* microphone =
      app.add_option("--mic", options.microphone, "A microphone: an ALSA name, or pulse:NAME [default]")
          ->type_name("DEVICE")
          ->expected(0, 1)
          ->default_str("default")
          ->group("What is sent");
  auto* camera = app.add_option("--camera", options.camera, "A V4L2 camera [/dev/video0]")
                     ->type_name("DEVICE")
                     ->expected(0, 1)
                     ->default_str("/dev/video0")
                     ->group("What is sent");
  app.add_option("--image", options.images,
                 "A JPEG, PNG or WebP picture shown at the call's start; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group("What is sent")
      ->excludes(camera);
  app.add_option("--text", options.texts,
                 "A typed question, sent when what came before is answered; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group("What is sent");
  microphone->excludes(file);
  camera->excludes(file);
  bool pcm = false;
  app.add_flag("--pcm", pcm, "Send sound as PCM16 instead of Opus")->group("What is sent");
  app.add_option("--stills-fps", options.source.stills_per_second,
                 "JPEG pictures a second, where the camera or file has neither H.264, VP8 nor VP9")
      ->type_name("N")
      ->capture_default_str()
      ->check(Valid(FiniteNumber(0.1, 30.0)))
      ->group("What is sent");

  const char* conversation = "The conversation";
  v1::SessionConfig* config = &options.config;
  app.add_option_function<std::string>(
         "--instructions", [=](const std::string& value) { config->set_instructions(value); },
         "The system prompt, instead of the bundle's own")
      ->type_name("TEXT")
      ->group(conversation);
  v1::TurnConfig* turn = config->mutable_turn();
  bool manual = false;
  app.add_flag("--manual", manual, "No speech detection: all the sound that is sent is one turn")
      ->group(conversation);
  AddFieldFlag(app, "--silence-ms", "Silence that ends a turn", turn, v1::TurnConfig::kSilenceMsFieldNumber)
      ->type_name("MS")
      ->group(conversation);
  AddFieldFlag(app, "--audio-idle-ms", "How long a turn waits for sound that does not come", turn,
               v1::TurnConfig::kAudioIdleMsFieldNumber)
      ->type_name("MS")
      ->group(conversation);
  AddFieldFlag(app, "--start-threshold", "Speech probability that starts a turn", turn,
               v1::TurnConfig::kStartThresholdFieldNumber)
      ->type_name("P")
      ->group(conversation);
  bool no_interruption = false;
  app.add_flag("--no-interruption", no_interruption, "Talking over an answer does not stop it")
      ->group(conversation);
  bool no_speculation = false;
  app.add_flag("--no-speculation", no_speculation,
               "Nothing is transcribed or answered before the end of a turn is decided")
      ->group(conversation);

  v1::GenerationConfig* generation = config->mutable_generation();
  const char* answers = "Answers";
  AddFieldFlag(app, "--max-tokens", "Tokens an answer may have", generation,
               v1::GenerationConfig::kMaxTokensFieldNumber)
      ->type_name("N")
      ->group(answers);
  AddFieldFlag(app, "--temperature", "0 is greedy", generation, v1::GenerationConfig::kTemperatureFieldNumber)
      ->type_name("T")
      ->group(answers);
  AddFieldFlag(app, "--top-k", "Only the K most likely tokens", generation,
               v1::GenerationConfig::kTopKFieldNumber)
      ->type_name("K")
      ->group(answers);
  AddFieldFlag(app, "--top-p", "Only the most likely tokens that sum to P", generation,
               v1::GenerationConfig::kTopPFieldNumber)
      ->type_name("P")
      ->group(answers);
  AddFieldFlag(app, "--repetition-penalty", "1 is off", generation,
               v1::GenerationConfig::kRepetitionPenaltyFieldNumber)
      ->type_name("R")
      ->group(answers);
  AddFieldFlag(app, "--seed", "The same seed and input give the same answer", generation,
               v1::GenerationConfig::kSeedFieldNumber)
      ->type_name("N")
      ->group(answers);
  app.add_option_function<std::vector<std::string>>(
         "--stop",
         [=](const std::vector<std::string>& values) {
           for (const std::string& value : values) generation->add_stop(value);
         },
         "An answer ends before this string; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(answers);

  v1::VideoPolicy* video = config->mutable_video_policy();
  AddFieldFlag(app, "--speaking-fps", "Frames a second looked at while the user speaks", video,
               v1::VideoPolicy::kSpeakingFpsFieldNumber)
      ->type_name("N")
      ->group(conversation);
  AddFieldFlag(app, "--silent-fps", "The same while the user is silent", video,
               v1::VideoPolicy::kSilentFpsFieldNumber)
      ->type_name("N")
      ->group(conversation);

  auto* json =
      app.add_flag("--json", options.json, "One JSON object a server event, fields named as in the proto")
          ->group("Output");
  app.add_flag("--timing", options.timing, "One line a turn: where the time went")
      ->group("Output")
      ->excludes(json);
  app.add_flag("--verbose", options.verbose, "Also speech events and frames that were not looked at")
      ->group("Output")
      ->excludes(json);

  try {
    app.parse(argc, argv);
    if (microphone->count() > 0 && options.microphone.empty()) options.microphone = "default";
    if (camera->count() > 0 && options.camera.empty()) options.camera = "/dev/video0";
    const bool call = !options.file.empty() || !options.microphone.empty() || !options.camera.empty() ||
                      !options.texts.empty() || !options.images.empty();
    if (!call && !options.health && !options.capabilities) {
      throw CLI::ValidationError("nothing to send: give --file, --mic, --camera, --image or --text (--help)");
    }
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  if (pcm) options.source.audio_codec = media::AudioCodec::kPcm16;
  if (manual) turn->set_mode(v1::TurnConfig::MANUAL);
  if (no_interruption) turn->mutable_interruption()->set_enabled(false);
  if (no_speculation) turn->mutable_speculation()->set_enabled(false);
  return options;
}

}  // namespace parley::client

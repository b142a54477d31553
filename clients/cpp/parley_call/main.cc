// parley-call: places one call from the command line.
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/standard_streams.h"
#include "clients/cpp/call.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/media/source.h"
#include "clients/cpp/parley_call/options.h"
#include "clients/cpp/parley_call/printer.h"
#include "clients/cpp/parley_call/progress.h"
#include "google/protobuf/util/json_util.h"

namespace parley::client {
namespace {

int Fail(const std::string& message) {
  std::cerr << "parley-call: " << message << std::endl;
  return 1;
}

uint64_t CaptureTimeUs(absl::Time time) { return static_cast<uint64_t>(absl::ToUnixMicros(time)); }

// Sends what the source gives until its end, the call's end or the user's stop. A file goes out at the pace
// at which it was recorded; a device keeps its own.
absl::Status SendMedia(media::Source& source, bool paced, Call& call, Progress& progress) {
  const absl::Time start = absl::Now();
  while (true) {
    auto item = source.Next();
    if (!item.ok()) return item.status();
    if (!item->has_value()) return absl::OkStatus();
    media::Item& next = **item;
    const absl::Time captured = paced ? start + next.captured : absl::Now();
    if (!progress.SleepUntil(paced ? start + next.due : absl::InfinitePast())) return absl::OkStatus();
    absl::Status sent;
    if (next.kind == media::Item::Kind::kAudio) {
      sent = call.SendAudio(std::move(next.data), next.first_sample_index, CaptureTimeUs(captured));
    } else {
      sent = call.SendVideo(std::move(next.data), next.rotation_degrees, CaptureTimeUs(captured)).status();
    }
    if (!sent.ok()) return absl::OkStatus();  // the call has ended; its outcome says why
  }
}

void SendImages(const std::vector<media::Still>& images, Call& call, Progress& progress) {
  for (const media::Still& image : images) {
    auto frame_id = call.SendVideo(image.data, 0, CaptureTimeUs(absl::Now()));
    // The next picture comes when this one has been looked at, and not sooner than the server samples.
    if (!frame_id.ok() || !progress.WaitFrame(*frame_id) || !progress.Sleep(absl::Milliseconds(120))) return;
  }
}

void SendTexts(const std::vector<std::string>& texts, Call& call, Progress& progress) {
  for (const std::string& text : texts) {
    const int answers = progress.answers();
    auto seq = call.SendText(text);
    if (!seq.ok() || !progress.WaitAnswer(*seq, answers)) return;
  }
}

void SendEmpty(Call& call, void (*set)(v1::ClientMessage&)) {
  v1::ClientMessage message;
  set(message);
  call.Send(std::move(message)).status().IgnoreError();
}

// In a call the first Ctrl-C (or SIGTERM) hangs up properly, the second breaks the call off, and the third
// ends the process, as a file may never give what is read of it. Outside of a call, while a server is waited
// for or a file is opened, the first ends the process. Taken by a thread that lives as long as the process,
// so that no handler runs anywhere.
class SignalThread {
 public:
  // Before the first thread is started: all threads inherit the mask.
  SignalThread() {
    sigemptyset(&signals_);
    for (int signal : {SIGINT, SIGTERM}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::thread([this] { Run(); }).detach();
  }
  // Both must stay until they are others, or null. `progress` alone: the call is being opened.
  void SetCall(Progress* progress, Call* call) {
    absl::MutexLock lock(&mutex_);
    progress_ = progress;
    call_ = call;
  }

 private:
  void Run() {
    for (int count = 0;; ++count) {
      int signal = 0;
      sigwait(&signals_, &signal);
      absl::MutexLock lock(&mutex_);
      if (progress_ == nullptr || count > 1) std::_Exit(128 + signal);
      progress_->Stop();
      if (count > 0 && call_ != nullptr) call_->Cancel();
    }
  }

  sigset_t signals_;
  absl::Mutex mutex_;
  Progress* progress_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Call* call_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

struct Media {
  std::vector<std::unique_ptr<media::Source>> sources;
  std::vector<media::Still> images;
};

// Opens what the options name and writes its formats into `config`.
absl::StatusOr<Media> OpenMedia(const Options& options, v1::SessionConfig& config) {
  Media opened;
  const auto take = [&](absl::StatusOr<std::unique_ptr<media::Source>> source) -> absl::Status {
    if (!source.ok()) return source.status();
    if ((*source)->audio_format()) *config.mutable_audio() = *(*source)->audio_format();
    if ((*source)->video_format()) *config.mutable_video() = *(*source)->video_format();
    opened.sources.push_back(*std::move(source));
    return absl::OkStatus();
  };
  absl::Status status;
  if (!options.file.empty()) status.Update(take(media::Source::OpenFile(options.file, options.source)));
  if (!options.microphone.empty()) {
    status.Update(take(media::Source::OpenMicrophone(options.microphone, options.source)));
  }
  if (!options.camera.empty()) status.Update(take(media::Source::OpenCamera(options.camera, options.source)));
  if (!status.ok()) return status;

  const bool camera = config.has_video();
  for (const std::string& path : options.images) {
    auto still = media::ReadStill(path);
    if (!still.ok()) return still.status();
    if (config.has_video() && config.video().codec() != still->codec) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, " is ", v1::VideoFormat::Codec_Name(still->codec), ", but the call's pictures are ",
          v1::VideoFormat::Codec_Name(config.video().codec()), ": a call has one format"));
    }
    config.mutable_video()->set_codec(still->codec);
    opened.images.push_back(*std::move(still));
  }
  // Pictures that are shown on purpose are all looked at, however alike or quick they are.
  if (!opened.images.empty() && !camera) {
    v1::VideoPolicy* policy = config.mutable_video_policy();
    if (!policy->has_silent_fps()) policy->set_silent_fps(10);
    if (!policy->has_speaking_fps()) policy->set_speaking_fps(10);
    policy->set_scene_threshold(0);
  }
  return opened;
}

int PlaceCall(const std::shared_ptr<grpc::Channel>& channel, const Options& options, SignalThread& signals) {
  v1::SessionConfig config = options.config;
  auto opened = OpenMedia(options, config);
  if (!opened.ok()) return Fail(std::string(opened.status().message()));
  const bool manual = config.turn().mode() == v1::TurnConfig::MANUAL;

  Progress progress;
  Printer printer(std::cout,
                  {.json = options.json,
                   .timing = options.timing,
                   .verbose = options.verbose,
                   .color = isatty(STDOUT_FILENO) != 0},
                  Clock::Real());
  // Before an event can be seen, which somebody may answer with Ctrl-C.
  signals.SetCall(&progress, nullptr);
  const auto call = Call::Open(
      channel, config,
      [&](const v1::ServerMessage& event) {
        printer.Print(event);
        progress.Observe(event);
      },
      [&](const absl::Status&) { progress.CallEnded(); });
  signals.SetCall(&progress, call.get());
  const absl::Cleanup no_call = [&signals] { signals.SetCall(nullptr, nullptr); };

  absl::Status media_status;
  if (progress.WaitReady()) {
    SendImages(opened->images, *call, progress);
    if (manual && config.has_audio())
      SendEmpty(*call, [](auto& message) { message.mutable_activity_start(); });
    std::vector<std::thread> senders;
    std::vector<absl::Status> outcomes(opened->sources.size());
    const bool paced = !options.file.empty();
    for (size_t i = 0; i < opened->sources.size(); ++i) {
      senders.emplace_back([&, i] {
        outcomes[i] = SendMedia(*opened->sources[i], paced, *call, progress);
        if (!outcomes[i].ok()) progress.Stop();  // a device that was pulled out
      });
    }
    for (std::thread& sender : senders) sender.join();
    for (const absl::Status& outcome : outcomes) media_status.Update(outcome);
    if (config.has_audio()) {
      if (manual) SendEmpty(*call, [](auto& message) { message.mutable_activity_end(); });
      SendEmpty(*call, [](auto& message) { message.mutable_audio_stream_end(); });
    }
    if (!options.texts.empty()) {
      if (opened->sources.empty() || progress.WaitSettled(absl::Seconds(1)))
        SendTexts(options.texts, *call, progress);
    }
  }
  // The server gives what it still owes before it ends the stream.
  call->Close().IgnoreError();
  const absl::Status outcome = call->Wait();
  printer.PrintEnd(outcome);
  for (const auto& source : opened->sources) {
    const absl::Duration missing = source->Missing();
    if (missing > absl::ZeroDuration()) {
      std::cerr << "parley-call: " << options.file << " was cut: its last "
                << absl::Trunc(missing, absl::Milliseconds(100)) << " are missing" << std::endl;
    }
  }
  if (!outcome.ok()) return Fail(absl::StrCat("the call failed: ", outcome.message()));
  if (!media_status.ok()) return Fail(std::string(media_status.message()));
  return 0;
}

int PrintCapabilities(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  const auto status = v1::Parley::NewStub(channel)->GetCapabilities(&context, {}, &capabilities);
  if (!status.ok()) return Fail(status.error_message());
  google::protobuf::util::JsonPrintOptions json;
  json.preserve_proto_field_names = true;
  json.add_whitespace = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(capabilities, &text, json).ok())
    return Fail("unprintable answer");
  std::cout << text;
  return 0;
}

int Main(int argc, char** argv) {
  int exit_code = 0;
  const std::optional<Options> options = ParseOptions(argc, argv, &exit_code);
  if (!options.has_value()) return exit_code;
  static SignalThread signals;
  auto channel = MakeChannel(options->channel);
  if (!channel.ok()) return Fail(std::string(channel.status().message()));

  const absl::Duration wait = absl::Seconds(options->wait_s);
  if (options->health) {
    const absl::Status status = WaitUntilServing(*channel, wait);
    if (!status.ok()) return Fail(absl::StrCat(options->channel.server, " is not ready: ", status.message()));
    std::cout << options->channel.server << " is ready for calls" << std::endl;
    return 0;
  }
  if (!WaitForConnection(**channel, wait).ok()) {
    return Fail(absl::StrCat("no server at ", options->channel.server,
                             " (start parley-server, or say where it is with --server HOST:PORT)"));
  }
  return options->capabilities ? PrintCapabilities(*channel) : PlaceCall(*channel, *options, signals);
}

}  // namespace
}  // namespace parley::client

int main(int argc, char** argv) {
  parley::OpenStandardStreams();
  return parley::client::Main(argc, argv);
}

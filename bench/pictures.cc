// Suite `pictures`: milliseconds from an encoded camera frame to its picture, decoded in a child process as
// the server does it, against the same decoder called in this process. Also what a call's process costs.
#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "bench/harness.h"
#include "streaming/decoders/process_decoders.h"
#include "streaming/video/video_input.h"
#include "tests/video/media_encoder.h"

namespace parley::bench {
namespace {

using streaming::PictureDecoder;
using streaming::VideoCodec;
using streaming::VideoInput;

constexpr int64_t kMaxPixels = 4096 * 4096;
constexpr int kFramesARun = 60;

struct Camera {
  const char* name;
  VideoCodec codec;
  int width;
  int height;
};
constexpr Camera kCameras[] = {
    {"jpeg_640x480", VideoCodec::kJpeg, 640, 480}, {"jpeg_1280x720", VideoCodec::kJpeg, 1280, 720},
    {"h264_640x480", VideoCodec::kH264, 640, 480}, {"h264_1280x720", VideoCodec::kH264, 1280, 720},
    {"vp9_1280x720", VideoCodec::kVp9, 1280, 720},
};

std::vector<std::string> Encode(const Camera& camera) {
  std::vector<std::string> frames;
  if (!streaming::HasIndependentFrames(camera.codec)) {
    return tests::EncodeStream(
        camera.codec,
        {.width = camera.width, .height = camera.height, .frames = kFramesARun, .key_interval = kFramesARun});
  }
  for (int i = 0; i < kFramesARun; ++i)
    frames.push_back(tests::EncodeStill(camera.codec, tests::TestPicture(camera.width, camera.height, i)));
  return frames;
}

absl::StatusOr<engine::ImagePtr> Decode(PictureDecoder& decoder, const std::string& data) {
  absl::Notification told;
  absl::StatusOr<engine::ImagePtr> picture = nullptr;
  decoder.Decode({.data = data}, [&](absl::StatusOr<engine::ImagePtr> image) {
    picture = std::move(image);
    told.Notify();
  });
  told.WaitForNotification();
  return picture;
}

absl::Status CheckTheyAreTheSame(PictureDecoder& ours, VideoInput& peer,
                                 const std::vector<std::string>& frames) {
  for (const std::string& frame : frames) {
    const auto a = Decode(ours, frame);
    if (!a.ok()) return a.status();
    const auto b = peer.Decode(frame, 0, true);
    if (!b.ok()) return b.status();
    if ((*a == nullptr) != (*b == nullptr) || (*a != nullptr && (*a)->pixels != (*b)->pixels))
      return absl::InternalError("the two sides' pictures differ: nothing is timed");
  }
  return absl::OkStatus();
}

// Anonymous memory in use by this process's grandchildren, each: the decoders. Pages that they share with the
// fork server are counted, its libraries are not.
std::vector<double> DecodersMemory() {
  struct Process {
    int pid;
    int parent;
  };
  std::vector<Process> all;
  DIR* folder = opendir("/proc");
  if (folder == nullptr) return {};
  while (const dirent* entry = readdir(folder)) {
    Process process{};
    if (!absl::SimpleAtoi(entry->d_name, &process.pid)) continue;
    std::ifstream file(absl::StrCat("/proc/", process.pid, "/stat"));
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const size_t name_end = text.rfind(") ");
    if (name_end == std::string::npos ||
        !absl::SimpleAtoi(text.substr(name_end + 4, text.find(' ', name_end + 4) - name_end - 4),
                          &process.parent))
      continue;
    all.push_back(process);
  }
  closedir(folder);
  std::vector<double> memory;
  for (const Process& fork_server : all) {
    if (fork_server.parent != getpid()) continue;
    for (const Process& decoder : all) {
      if (decoder.parent != fork_server.pid) continue;
      std::ifstream file(absl::StrCat("/proc/", decoder.pid, "/statm"));
      int64_t size = 0;
      int64_t resident = 0;
      int64_t shared = 0;
      file >> size >> resident >> shared;
      memory.push_back(static_cast<double>((resident - shared) * sysconf(_SC_PAGESIZE)));
    }
  }
  return memory;
}

absl::Status Measure(const SuiteOptions& options) {
  // One decoder uses a whole core here.
  auto decoders = streaming::ProcessDecoders::Start(
      {.program = PARLEY_DECODER_BINARY, .policy = {.call_share = 1000, .call_burst = absl::Hours(1)}});
  if (!decoders.ok()) return decoders.status();
  for (const Camera& camera : kCameras) {
    const std::vector<std::string> frames = Encode(camera);
    auto ours = (*decoders)->Open(camera.codec, kMaxPixels);
    if (!ours.ok()) return ours.status();
    auto peer = VideoInput::Create(camera.codec, kMaxPixels);
    if (!peer.ok()) return peer.status();
    if (absl::Status status = CheckTheyAreTheSame(**ours, **peer, frames); !status.ok()) return status;
    const auto medians =
        Alternate({[&]() -> absl::StatusOr<double> {
                     const double start = Now();
                     for (const std::string& frame : frames) {
                       if (const auto picture = Decode(**ours, frame); !picture.ok()) return picture.status();
                     }
                     return 1e3 * (Now() - start) / kFramesARun;
                   },
                   [&]() -> absl::StatusOr<double> {
                     const double start = Now();
                     for (const std::string& frame : frames) {
                       if (const auto picture = (*peer)->Decode(frame, 0, true); !picture.ok())
                         return picture.status();
                     }
                     return 1e3 * (Now() - start) / kFramesARun;
                   }},
                  {.seconds = options.seconds});
    if (!medians.ok()) return medians.status();
    Figure figure = {.suite = "pictures", .name = camera.name, .ours = (*medians)[0]};
    figure.unit = "ms a frame";
    figure.better = Better::kLower;
    figure.peer = (*medians)[1];
    figure.peer_name = "the same decoder in process";
    const std::vector<double> memory = DecodersMemory();
    figure.setting = {{"overhead_ms", (*medians)[0] - (*medians)[1]}};
    if (memory.size() == 1) figure.setting["decoder_bytes"] = memory[0];
    Print(figure);
  }

  const std::string still = tests::EncodeStill(VideoCodec::kJpeg, tests::TestPicture(64, 64, 0));
  const auto start = Alternate({[&]() -> absl::StatusOr<double> {
                                 const double begin = Now();
                                 auto decoder = (*decoders)->Open(VideoCodec::kJpeg, kMaxPixels);
                                 if (!decoder.ok()) return decoder.status();
                                 if (const auto picture = Decode(**decoder, still); !picture.ok())
                                   return picture.status();
                                 return 1e3 * (Now() - begin);
                               }},
                               {.seconds = options.seconds});
  if (!start.ok()) return start.status();
  Figure figure = {.suite = "pictures", .name = "first_picture", .ours = (*start)[0]};
  figure.unit = "ms";
  figure.better = Better::kLower;
  Print(figure);
  return absl::OkStatus();
}

}  // namespace
}  // namespace parley::bench

int main(int argc, char** argv) {
  return parley::bench::SuiteMain(argc, argv,
                                  "Pictures decoded in a process without rights, against in process.",
                                  parley::bench::Measure);
}

#include "streaming/decoders/decoder_child.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <string_view>
#include <utility>

namespace parley::streaming {
namespace {

// The beginning of the shared memory, which is as large as the largest picture that a VideoInput gives.
class SharedMemory final : public PictureTarget {
 public:
  explicit SharedMemory(uint8_t* memory) : memory_(memory) {}
  uint8_t* Start(int width, int height) override {
    width_ = width;
    height_ = height;
    return memory_;
  }
  int width() const { return width_; }
  int height() const { return height_; }

 private:
  uint8_t* const memory_;
  int width_ = 0;
  int height_ = 0;
};

class Decoder {
 public:
  Decoder(const DecoderConfig& config, const VideoInputFactory& factory, uint8_t* memory)
      : config_(config), factory_(factory), memory_(memory) {}

  DecodeReply Decode(const DecodeRequest& request) {
    try {
      return DecodeFrame(request);
    } catch (const std::bad_alloc&) {
      input_.reset();
      return MakeReply(request.number, absl::ResourceExhaustedError("no memory for the picture"));
    }
  }

 private:
  DecodeReply DecodeFrame(const DecodeRequest& request) {
    if (input_ == nullptr) {
      auto input = factory_(static_cast<VideoCodec>(config_.codec), config_.max_pixels);
      if (!input.ok()) return MakeReply(request.number, input.status());
      input_ = *std::move(input);
    }
    if (request.after_loss != 0)
      input_->OnLoss(Bytes(config_.parameter_sets_at(), request.parameter_set_bytes));
    SharedMemory target(memory_);
    const auto written = input_->DecodeTo(Bytes(config_.picture_bytes(), request.bytes),
                                          request.rotation_degrees, request.want != 0 ? &target : nullptr);
    DecodeReply reply = MakeReply(request.number, written.status());
    if (!written.ok() || !*written) return reply;
    reply.code = DecodeCode::kPicture;
    reply.width = target.width();
    reply.height = target.height();
    return reply;
  }

  std::string_view Bytes(int64_t offset, int64_t size) const {
    return {reinterpret_cast<const char*>(memory_) + offset, static_cast<size_t>(size)};
  }

  const DecoderConfig config_;
  const VideoInputFactory& factory_;
  uint8_t* const memory_;
  std::unique_ptr<VideoInput> input_;
};

bool Sound(const DecodeRequest& request, const DecoderConfig& config) {
  return request.bytes >= 0 && request.bytes <= config.max_frame_bytes && request.parameter_set_bytes >= 0 &&
         request.parameter_set_bytes <= static_cast<int64_t>(H264ParameterSets::kMaxBytes);
}

}  // namespace

int ServeFrames(int socket_fd, int memory_fd, const DecoderConfig& config, const VideoInputFactory& factory) {
  void* memory = mmap(nullptr, static_cast<size_t>(config.shared_bytes()), PROT_READ | PROT_WRITE, MAP_SHARED,
                      memory_fd, 0);
  if (memory == MAP_FAILED) return 2;
  Decoder decoder(config, factory, static_cast<uint8_t*>(memory));
  for (;;) {
    DecodeRequest request;
    const ssize_t received = recv(socket_fd, &request, sizeof(request), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) return 0;
    if (received != sizeof(request) || !Sound(request, config)) return 1;
    const DecodeReply reply = decoder.Decode(request);
    if (send(socket_fd, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply)) return 0;
  }
}

}  // namespace parley::streaming

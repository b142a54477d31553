#include <utility>

#include "streaming/decoders/picture_decoders.h"

namespace parley::streaming {
namespace {

class InlineDecoder : public PictureDecoder {
 public:
  explicit InlineDecoder(std::unique_ptr<VideoInput> input) : input_(std::move(input)) {}

  void Decode(Frame frame, Done done) override {
    if (frame.after_loss) input_->OnLoss(frame.parameter_set_bytes());
    done(input_->Decode(frame.data, frame.rotation_degrees, frame.want));
  }

 private:
  const std::unique_ptr<VideoInput> input_;
};

class InlineDecoders : public PictureDecoders {
 public:
  absl::StatusOr<std::unique_ptr<PictureDecoder>> Open(VideoCodec codec, int64_t max_pixels) override {
    auto input = VideoInput::Create(codec, max_pixels);
    if (!input.ok()) return input.status();
    return std::make_unique<InlineDecoder>(*std::move(input));
  }
};

}  // namespace

PictureDecoders* PictureDecoders::Inline() {
  static auto* decoders = new InlineDecoders;
  return decoders;
}

}  // namespace parley::streaming

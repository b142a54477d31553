#include "streaming/video/video_decoder.h"

#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "streaming/video/ffmpeg_log.h"
#include "streaming/video/picture_header.h"
#include "streaming/video/vpx_decoder.h"

extern "C" {
#include <libavcodec/avcodec.h>
}

namespace parley::streaming {
namespace {

AVCodecID CodecId(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kJpeg:
      return AV_CODEC_ID_MJPEG;
    case VideoCodec::kPng:
      return AV_CODEC_ID_PNG;
    case VideoCodec::kWebp:
      return AV_CODEC_ID_WEBP;
    case VideoCodec::kH264:
      return AV_CODEC_ID_H264;
    default:  // vpx_decoder.h
      return AV_CODEC_ID_NONE;
  }
}

// What libavcodec's JPEG decoder (mjpegdec.c) logs about damage, by its beginning, and what it means. The
// number of "error count" is the place in a block, past its 64 coefficients, to which a code that does not
// exist has led.
struct Meaning {
  std::string_view logged;
  std::string_view words;
};
constexpr std::string_view kBlock = "the data of an 8 x 8 block are wrong or missing";
constexpr std::string_view kEnd = "its data end too early";
constexpr Meaning kMeanings[] = {
    {"error count: ", kBlock},
    {"ZRL overflow: ", kBlock},
    {"error dc", kBlock},
    {"error y=", kBlock},
    {"overread ", kEnd},
    {"bitstream truncated ", kEnd},
    {"bitstream end ", kEnd},
    {"huffman table decode error", "a Huffman table is wrong"},
    {"bits ", "a Huffman table is wrong"},
    {"dht: ", "a Huffman table is wrong"},
    {"dqt: ", "a quantisation table is wrong"},
    {"quant_index is invalid", "a quantisation table is named that does not exist"},
    {"decode_sos: ac/dc index out of range", "a Huffman table is named that does not exist"},
};

std::string_view MeaningOf(VideoCodec codec, std::string_view logged) {
  if (codec != VideoCodec::kJpeg) return logged;
  for (const Meaning& meaning : kMeanings) {
    if (logged.starts_with(meaning.logged)) return meaning.words;
  }
  return logged;
}

absl::Status Damaged(VideoCodec codec, int error, const FfmpegLog& log) {
  if (error == AVERROR(ENOMEM)) return absl::ResourceExhaustedError("no memory for the picture");
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  if (log.first_error().empty()) av_strerror(error, text, sizeof(text));
  return absl::InvalidArgumentError(
      absl::StrCat("damaged picture: ", std::string(MeaningOf(codec, log.first_error())), text));
}

// One libavcodec decoder, owned.
class LibavcodecDecoder : public VideoDecoder {
 public:
  static absl::StatusOr<std::unique_ptr<VideoDecoder>> Open(VideoCodec codec, int64_t max_pixels);
  ~LibavcodecDecoder() override;
  absl::StatusOr<const AVFrame*> Decode(const std::vector<std::string_view>& pieces, bool spare) override;
  void Reset() override;

 private:
  // Bytes of the pictures that live, the decoder's own and those given out. Outlives the decoder where one of
  // them does.
  struct PictureMemory {
    explicit PictureMemory(int64_t limit) : allowed(limit) {}
    const int64_t allowed;
    int64_t used = 0;
    bool exhausted = false;  // set when a picture did not fit
  };

  LibavcodecDecoder(VideoCodec codec, int64_t max_pixels)
      : codec_(codec), memory_(std::make_shared<PictureMemory>(PictureBytesAllowed(max_pixels))) {}
  static int GetBuffer(AVCodecContext* context, AVFrame* frame, int flags);

  const VideoCodec codec_;
  const std::shared_ptr<PictureMemory> memory_;
  AVCodecContext* context_ = nullptr;
  AVPacket* packet_ = nullptr;
  AVFrame* shown_ = nullptr;
  AVFrame* incoming_ = nullptr;
};

// libavcodec's own allocation, counted: each buffer is wrapped in one that tells when it is let go.
int LibavcodecDecoder::GetBuffer(AVCodecContext* context, AVFrame* frame, int flags) {
  struct Counted {
    std::shared_ptr<PictureMemory> memory;
    AVBufferRef* inner;
  };
  const auto release = [](void* opaque, uint8_t* /*data*/) {
    const std::unique_ptr<Counted> counted(static_cast<Counted*>(opaque));
    counted->memory->used -= static_cast<int64_t>(counted->inner->size);
    av_buffer_unref(&counted->inner);
  };
  const std::shared_ptr<PictureMemory>& memory = static_cast<LibavcodecDecoder*>(context->opaque)->memory_;
  if (const int error = avcodec_default_get_buffer2(context, frame, flags); error < 0) return error;
  int64_t size = 0;
  for (const AVBufferRef* buffer : frame->buf) size += buffer == nullptr ? 0 : int64_t(buffer->size);
  if (memory->used + size > memory->allowed) {
    memory->exhausted = true;
    av_frame_unref(frame);
    return AVERROR(ENOMEM);
  }
  for (AVBufferRef*& buffer : frame->buf) {
    if (buffer == nullptr) continue;
    auto counted = std::make_unique<Counted>(Counted{memory, buffer});
    AVBufferRef* wrapped = av_buffer_create(buffer->data, buffer->size, release, counted.get(), 0);
    if (wrapped == nullptr) {
      av_frame_unref(frame);
      return AVERROR(ENOMEM);
    }
    memory->used += static_cast<int64_t>(buffer->size);
    (void)counted.release();  // the buffer owns it now
    buffer = wrapped;
  }
  return 0;
}

absl::StatusOr<std::unique_ptr<VideoDecoder>> LibavcodecDecoder::Open(VideoCodec codec, int64_t max_pixels) {
  FfmpegLog log;
  const AVCodec* found = avcodec_find_decoder(CodecId(codec));
  if (found == nullptr)
    return absl::UnimplementedError(absl::StrCat("this FFmpeg has no ", CodecName(codec)));
  std::unique_ptr<LibavcodecDecoder> decoder(new LibavcodecDecoder(codec, max_pixels));
  decoder->context_ = avcodec_alloc_context3(found);
  decoder->packet_ = av_packet_alloc();
  decoder->shown_ = av_frame_alloc();
  decoder->incoming_ = av_frame_alloc();
  AVCodecContext* context = decoder->context_;
  if (context == nullptr || !decoder->packet_ || !decoder->shown_ || !decoder->incoming_) {
    return absl::ResourceExhaustedError("no memory for a video decoder");
  }
  context->thread_count = 1;
  context->flags |= AV_CODEC_FLAG_LOW_DELAY;
  // FFmpeg counts rows padded to 64 pixels.
  constexpr int64_t kMaxPadding = int64_t{64} * 65'536;
  context->max_pixels = max_pixels + kMaxPadding;
  // A damaged picture is an error, not something that the model should look at.
  context->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
  // Not to conceal anything (it is an error all the same) but to find what is missing: only with this are the
  // macroblocks of an H.264 picture counted and its slices seen to join. Without it libavcodec 5.1 takes
  // every picture of more than one slice for damaged, and all after it. The value is the one that costs the
  // least.
  context->error_concealment = FF_EC_FAVOR_INTER;
  context->opaque = decoder.get();
  context->get_buffer2 = &LibavcodecDecoder::GetBuffer;
  if (const int error = avcodec_open2(context, found, nullptr); error < 0) {
    return absl::InternalError(
        absl::StrCat("FFmpeg's ", CodecName(codec), " decoder does not open: ", error));
  }
  return decoder;
}

LibavcodecDecoder::~LibavcodecDecoder() {
  av_frame_free(&incoming_);
  av_frame_free(&shown_);
  av_packet_free(&packet_);
  avcodec_free_context(&context_);
}

absl::StatusOr<const AVFrame*> LibavcodecDecoder::Decode(const std::vector<std::string_view>& pieces,
                                                         bool spare) {
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  if (size > INT_MAX / 2) return absl::InvalidArgumentError("a frame of over a gigabyte");
  av_frame_unref(shown_);
  // Decoders read past the end: the copy has zeros there.
  if (av_new_packet(packet_, static_cast<int>(size)) < 0)
    return absl::ResourceExhaustedError("no memory for a frame");
  uint8_t* to = packet_->data;
  for (const std::string_view piece : pieces) {
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }

  FfmpegLog log;
  // With reordering the picture that comes out is an earlier one, which may be wanted.
  context_->skip_frame = spare && context_->has_b_frames == 0 ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
  memory_->exhausted = false;
  int error = avcodec_send_packet(context_, packet_);
  av_packet_unref(packet_);
  bool damaged = false;
  while (error >= 0) {
    error = avcodec_receive_frame(context_, incoming_);
    if (error < 0) break;
    damaged |= incoming_->decode_error_flags != 0 || (incoming_->flags & AV_FRAME_FLAG_CORRUPT) != 0;
    std::swap(shown_, incoming_);
    av_frame_unref(incoming_);
  }
  if (error == AVERROR(EAGAIN)) error = damaged || log.concealed() ? AVERROR_INVALIDDATA : 0;
  if (memory_->exhausted) {
    av_frame_unref(shown_);
    return absl::ResourceExhaustedError(
        absl::StrCat("the stream keeps pictures of over ", memory_->allowed, " bytes"));
  }
  if (error < 0) {
    av_frame_unref(shown_);
    return Damaged(codec_, error, log);
  }
  return shown_->buf[0] == nullptr ? nullptr : shown_;
}

void LibavcodecDecoder::Reset() {
  FfmpegLog log;
  avcodec_flush_buffers(context_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<VideoDecoder>> VideoDecoder::Open(VideoCodec codec, int64_t max_pixels) {
  if (codec == VideoCodec::kVp8 || codec == VideoCodec::kVp9) return VpxDecoder::Open(codec);
  return LibavcodecDecoder::Open(codec, max_pixels);
}

}  // namespace parley::streaming

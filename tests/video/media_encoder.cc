#include "tests/video/media_encoder.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

namespace parley::tests {
namespace {

using streaming::VideoCodec;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "cannot encode test media: %s\n", what);
  std::exit(1);
}

struct Encoder {
  const char* name;
  AVPixelFormat format;
};

Encoder EncoderFor(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::kJpeg:
      return {"mjpeg", AV_PIX_FMT_YUVJ420P};
    case VideoCodec::kPng:
      return {"png", AV_PIX_FMT_RGB24};
    case VideoCodec::kWebp:
      return {"libwebp", AV_PIX_FMT_YUV420P};
    case VideoCodec::kH264:
      return {"libx264", AV_PIX_FMT_YUV420P};
    case VideoCodec::kVp8:
      return {"libvpx", AV_PIX_FMT_YUV420P};
    case VideoCodec::kVp9:
      return {"libvpx-vp9", AV_PIX_FMT_YUV420P};
  }
  return {"", AV_PIX_FMT_NONE};
}

AVFrame* ToFrame(const engine::Image& image, AVPixelFormat format, bool bt709_full) {
  AVFrame* frame = av_frame_alloc();
  Require(frame != nullptr, "no memory");
  frame->width = image.width;
  frame->height = image.height;
  frame->format = format;
  Require(av_frame_get_buffer(frame, 0) >= 0, "no memory");
  SwsContext* scaler = sws_getContext(image.width, image.height, AV_PIX_FMT_RGB24, image.width, image.height,
                                      format, SWS_BICUBIC | SWS_ACCURATE_RND, nullptr, nullptr, nullptr);
  Require(scaler != nullptr, "no scaler");
  if (bt709_full) {
    sws_setColorspaceDetails(scaler, sws_getCoefficients(SWS_CS_DEFAULT), 1,
                             sws_getCoefficients(SWS_CS_ITU709), 1, 0, 1 << 16, 1 << 16);
    frame->color_range = AVCOL_RANGE_JPEG;
    frame->colorspace = AVCOL_SPC_BT709;
  }
  const uint8_t* planes[4] = {image.pixels.data()};
  const int strides[4] = {3 * image.width};
  sws_scale(scaler, planes, strides, 0, image.height, frame->data, frame->linesize);
  sws_freeContext(scaler);
  return frame;
}

std::vector<std::string> Encode(VideoCodec codec, const std::vector<engine::Image>& images,
                                const StreamOptions& options) {
  av_log_set_level(AV_LOG_FATAL);
  Encoder encoder = EncoderFor(codec);
  if (options.deep_444) encoder.format = AV_PIX_FMT_YUV444P10;
  const AVCodec* found = avcodec_find_encoder_by_name(encoder.name);
  Require(found != nullptr, encoder.name);
  AVCodecContext* context = avcodec_alloc_context3(found);
  context->width = images[0].width;
  context->height = images[0].height;
  context->pix_fmt = encoder.format;
  context->time_base = {1, 30};
  context->thread_count = 1;
  context->gop_size = options.key_interval;
  context->bit_rate = 2'000'000;
  if (options.bt709_full) {
    context->color_range = AVCOL_RANGE_JPEG;
    context->colorspace = AVCOL_SPC_BT709;
  }
  AVDictionary* settings = nullptr;
  if (codec == VideoCodec::kH264) {
    context->max_b_frames = options.b_frames ? 2 : 0;
    av_dict_set(&settings, "preset", options.b_frames ? "medium" : "ultrafast", 0);
    if (!options.b_frames) av_dict_set(&settings, "tune", "zerolatency", 0);
    if (!options.x264.empty()) av_dict_set(&settings, "x264-params", options.x264.c_str(), 0);
  } else if (codec == VideoCodec::kVp8 || codec == VideoCodec::kVp9) {
    av_dict_set(&settings, "deadline", "realtime", 0);
    av_dict_set(&settings, "cpu-used", "8", 0);
    av_dict_set(&settings, "lag-in-frames", "0", 0);
    Require(av_dict_parse_string(&settings, options.vpx.c_str(), "=", " ", 0) >= 0, options.vpx.c_str());
  } else if (codec == VideoCodec::kJpeg) {
    context->flags |= AV_CODEC_FLAG_QSCALE;
    context->global_quality = 2 * FF_QP2LAMBDA;
  } else if (codec == VideoCodec::kWebp) {
    av_dict_set(&settings, "quality", "95", 0);
  }
  Require(avcodec_open2(context, found, &settings) >= 0, encoder.name);
  const AVDictionaryEntry* unknown = av_dict_get(settings, "", nullptr, AV_DICT_IGNORE_SUFFIX);
  Require(unknown == nullptr, unknown == nullptr ? "" : unknown->key);

  std::vector<std::string> packets;
  AVPacket* packet = av_packet_alloc();
  const auto drain = [&] {
    while (avcodec_receive_packet(context, packet) >= 0) {
      packets.emplace_back(reinterpret_cast<const char*>(packet->data), packet->size);
      av_packet_unref(packet);
    }
  };
  for (size_t i = 0; i < images.size(); ++i) {
    AVFrame* frame = ToFrame(images[i], encoder.format, options.bt709_full);
    frame->pts = static_cast<int64_t>(i);
    frame->quality = context->global_quality;
    Require(avcodec_send_frame(context, frame) >= 0, encoder.name);
    av_frame_free(&frame);
    drain();
  }
  avcodec_send_frame(context, nullptr);
  drain();
  av_packet_free(&packet);
  avcodec_free_context(&context);
  Require(!packets.empty(), encoder.name);
  return packets;
}

}  // namespace

engine::Image TestPicture(int width, int height, int frame) {
  engine::Image image{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  const int side = std::max(1, std::min(width, height) / 4);
  const int left = (frame * side / 4) % std::max(1, width - side);
  const int top = height / 2 - side / 2;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = &image.pixels[(size_t(y) * width + x) * 3];
      const bool right = x >= width / 2;
      const bool low = y >= height / 2;
      const auto shade = static_cast<uint8_t>(120 + 100 * (x + y) / (width + height));
      if (!low && !right) pixel[0] = shade;
      if (!low && right) pixel[1] = shade;
      if (low && right) pixel[2] = shade;
      if (low && !right) pixel[0] = pixel[1] = pixel[2] = shade;
      if (x >= left && x < left + side && y >= top && y < top + side) std::memset(pixel, 255, 3);
    }
  }
  return image;
}

std::vector<std::string> EncodeStream(VideoCodec codec, const StreamOptions& options) {
  std::vector<engine::Image> images;
  std::mt19937 random(1);
  for (int i = 0; i < options.frames; ++i) {
    images.push_back(TestPicture(options.width, options.height, i));
    if (!options.noisy) continue;
    for (uint8_t& sample : images.back().pixels)
      sample = static_cast<uint8_t>(std::clamp(sample + static_cast<int>(random() % 64) - 32, 0, 255));
  }
  return Encode(codec, images, options);
}

std::string EncodeStill(VideoCodec codec, const engine::Image& image) {
  return Encode(codec, {image}, {})[0];
}

std::string EncodeWebp(const engine::Image& image, int (*alpha)(int), bool lossless) {
  av_log_set_level(AV_LOG_FATAL);
  const AVCodec* found = avcodec_find_encoder_by_name("libwebp");
  Require(found != nullptr, "libwebp");
  AVCodecContext* context = avcodec_alloc_context3(found);
  context->width = image.width;
  context->height = image.height;
  context->pix_fmt = lossless ? AV_PIX_FMT_RGB32 : AV_PIX_FMT_YUVA420P;
  context->time_base = {1, 1};
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "lossless", lossless ? "1" : "0", 0);
  av_dict_set(&settings, "quality", "95", 0);
  Require(avcodec_open2(context, found, &settings) >= 0, "libwebp");
  av_dict_free(&settings);
  AVFrame* frame = ToFrame(image, context->pix_fmt, false);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      // RGB32 is BGRA in memory.
      uint8_t* at = lossless ? &frame->data[0][y * frame->linesize[0] + 4 * x + 3]
                             : &frame->data[3][y * frame->linesize[3] + x];
      *at = static_cast<uint8_t>(alpha(y * image.width + x));
    }
  }
  AVPacket* packet = av_packet_alloc();
  frame->pts = 0;
  avcodec_send_frame(context, frame);
  avcodec_send_frame(context, nullptr);
  Require(avcodec_receive_packet(context, packet) >= 0, "libwebp");
  std::string data(reinterpret_cast<const char*>(packet->data), packet->size);
  av_packet_free(&packet);
  av_frame_free(&frame);
  avcodec_free_context(&context);
  return data;
}

std::vector<engine::Image> DecodeWithFfmpeg(VideoCodec codec, const std::vector<std::string>& frames) {
  av_log_set_level(AV_LOG_FATAL);
  const std::pair<VideoCodec, AVCodecID> ids[] = {
      {VideoCodec::kJpeg, AV_CODEC_ID_MJPEG}, {VideoCodec::kPng, AV_CODEC_ID_PNG},
      {VideoCodec::kWebp, AV_CODEC_ID_WEBP},  {VideoCodec::kH264, AV_CODEC_ID_H264},
      {VideoCodec::kVp8, AV_CODEC_ID_VP8},    {VideoCodec::kVp9, AV_CODEC_ID_VP9}};
  AVCodecID id = AV_CODEC_ID_NONE;
  for (const auto& [key, value] : ids) id = key == codec ? value : id;
  const AVCodec* found = avcodec_find_decoder(id);
  Require(found != nullptr, "no decoder");
  AVCodecContext* context = avcodec_alloc_context3(found);
  context->thread_count = 1;
  Require(avcodec_open2(context, found, nullptr) >= 0, "decoder does not open");
  std::vector<engine::Image> images;
  AVFrame* frame = av_frame_alloc();
  AVPacket* packet = av_packet_alloc();
  const auto drain = [&] {
    while (avcodec_receive_frame(context, frame) >= 0) {
      SwsContext* scaler =
          sws_getContext(frame->width, frame->height, static_cast<AVPixelFormat>(frame->format), frame->width,
                         frame->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr, nullptr, nullptr);
      Require(scaler != nullptr, "no scaler");
      const int stride = (3 * frame->width + 127) / 64 * 64;
      std::vector<uint8_t> rows(size_t(stride) * frame->height + 64);
      uint8_t* const planes[4] = {rows.data()};
      const int strides[4] = {stride};
      sws_scale(scaler, frame->data, frame->linesize, 0, frame->height, planes, strides);
      sws_freeContext(scaler);
      engine::Image image{frame->width, frame->height, {}};
      for (int y = 0; y < frame->height; ++y) {
        const uint8_t* row = rows.data() + size_t(y) * stride;
        image.pixels.insert(image.pixels.end(), row, row + 3 * frame->width);
      }
      images.push_back(std::move(image));
    }
  };
  for (const std::string& each : frames) {
    Require(av_new_packet(packet, static_cast<int>(each.size())) >= 0, "no memory");
    std::memcpy(packet->data, each.data(), each.size());
    avcodec_send_packet(context, packet);
    av_packet_unref(packet);
    drain();
  }
  avcodec_send_packet(context, nullptr);
  drain();
  av_packet_free(&packet);
  av_frame_free(&frame);
  avcodec_free_context(&context);
  return images;
}

double Difference(const engine::Image& a, const engine::Image& b) {
  if (a.width != b.width || a.height != b.height || a.pixels.size() != b.pixels.size()) return 255;
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(std::max<size_t>(1, a.pixels.size()));
}

}  // namespace parley::tests

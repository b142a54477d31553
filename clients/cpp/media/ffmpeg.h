// FFmpeg's objects with owners, and its error codes as text. Private to clients/cpp/media.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

namespace parley::client::media {

// Deletes by one of FFmpeg's functions that take T**.
template <typename T, void (*kFree)(T**)>
struct Free {
  void operator()(T* object) const { kFree(&object); }
};
struct FreeSws {
  void operator()(SwsContext* object) const { sws_freeContext(object); }
};

using FormatPtr = std::unique_ptr<AVFormatContext, Free<AVFormatContext, avformat_close_input>>;
using CodecPtr = std::unique_ptr<AVCodecContext, Free<AVCodecContext, avcodec_free_context>>;
using BsfPtr = std::unique_ptr<AVBSFContext, Free<AVBSFContext, av_bsf_free>>;
using FramePtr = std::unique_ptr<AVFrame, Free<AVFrame, av_frame_free>>;
using PacketPtr = std::unique_ptr<AVPacket, Free<AVPacket, av_packet_free>>;
using SwrPtr = std::unique_ptr<SwrContext, Free<SwrContext, swr_free>>;
using SwsPtr = std::unique_ptr<SwsContext, FreeSws>;

inline std::string AvError(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof(text));
  return text;
}

}  // namespace parley::client::media

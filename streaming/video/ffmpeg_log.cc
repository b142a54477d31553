#include "streaming/video/ffmpeg_log.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

extern "C" {
#include <libavutil/log.h>
}

namespace parley::streaming {

thread_local FfmpegLog* FfmpegLog::current_ = nullptr;

FfmpegLog::FfmpegLog() : outer_(current_) {
  static const bool installed = [] {
    av_log_set_callback(&FfmpegLog::OnLine);
    return true;
  }();
  (void)installed;
  current_ = this;
}

FfmpegLog::~FfmpegLog() { current_ = outer_; }

void FfmpegLog::OnLine(void* /*object*/, int level, const char* format, va_list arguments) {
  if (current_ == nullptr) return;
  constexpr char kConcealing[] = "concealing ";  // of error_resilience.c
  if (std::strncmp(format, kConcealing, sizeof(kConcealing) - 1) == 0) current_->concealed_ = true;
  if (level > AV_LOG_ERROR || !current_->first_error_.empty()) return;
  char line[200];
  if (std::vsnprintf(line, sizeof(line), format, arguments) <= 0) return;
  for (const char* c = line; *c != '\0' && *c != '\n'; ++c) {
    current_->first_error_ += *c >= 0x20 && *c < 0x7f ? *c : '?';  // it may quote the client's bytes
  }
}

}  // namespace parley::streaming

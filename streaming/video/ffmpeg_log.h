// FFmpeg's log, kept off stderr.
#pragma once

#include <string>

namespace parley::streaming {

// While one lives, it keeps the first error that FFmpeg logs on this thread; without one, what FFmpeg logs
// goes nowhere. The first one made sets FFmpeg's process-wide callback.
class FfmpegLog {
 public:
  FfmpegLog();
  ~FfmpegLog();
  FfmpegLog(const FfmpegLog&) = delete;
  FfmpegLog& operator=(const FfmpegLog&) = delete;

  // One line of ASCII; empty when nothing was logged.
  const std::string& first_error() const { return first_error_; }
  // Whether a decoder filled parts of a picture with guesses, since they are damaged or missing. Of a picture
  // that is shown later nothing else tells at once.
  bool concealed() const { return concealed_; }

 private:
  static void OnLine(void* object, int level, const char* format, __builtin_va_list arguments);

  static thread_local FfmpegLog* current_;
  FfmpegLog* const outer_;
  std::string first_error_;
  bool concealed_ = false;
};

}  // namespace parley::streaming

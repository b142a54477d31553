#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "server/log_limit.h"
#include "server/log_queue.h"

namespace parley::server {
namespace {

std::atomic<LogFormat> g_format{LogFormat::kText};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A value without spaces, quotes or control characters stands bare in a text line.
std::string TextValue(const std::string& value) {
  const bool bare = !value.empty() && std::all_of(value.begin(), value.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
  return bare ? value : Quoted(value);
}

constexpr size_t kQueueBytes = 1 << 20;
constexpr absl::Duration kPatienceAtExit = absl::Seconds(1);

// spdlog formats. Its own asynchronous mode joins its thread at the end, however long that is blocked.
class QueueSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit QueueSink(LogQueue* queue) : queue_(queue) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    queue_->Push(fmt::to_string(line));
  }
  void flush_() override {}
  LogQueue* const queue_;
};

// Where lines go. Never destroyed: anything may log until the process ends.
class Output {
 public:
  Output() : queue_(STDERR_FILENO, kQueueBytes, [this](int64_t lines) { return LostLine(lines); }) {}

  spdlog::logger& logger() { return logger_; }
  LogQueue& queue() { return queue_; }
  LogLimiter& limiter() { return limiter_; }
  // The sink's formatter belongs to the sink's lock, which is held when a line is pushed: lost lines have
  // their own.
  void SetPattern(const std::string& pattern) {
    logger_.set_pattern(pattern, spdlog::pattern_time_type::utc);
    absl::MutexLock lock(&lost_mutex_);
    lost_format_ = std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc);
  }

 private:
  std::string LostLine(int64_t lines);

  LogLimiter limiter_{LogLimits{}};
  absl::Mutex lost_mutex_;
  std::unique_ptr<spdlog::pattern_formatter> lost_format_ ABSL_GUARDED_BY(lost_mutex_);
  LogQueue queue_;
  spdlog::logger logger_{"parley", std::make_shared<QueueSink>(&queue_)};
};

std::string PatternOf(LogFormat format) {
  // In JSON the pattern opens the object that FormatLog's fields close.
  return format == LogFormat::kJson ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                    : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
}

Output& TheOutput() {
  static Output* const output = [] {
    auto* const made = new Output;
    made->SetPattern(PatternOf(LogFormat::kText));
    std::atexit([] { FinishLog(kPatienceAtExit); });
    return made;
  }();
  return *output;
}

spdlog::logger& Logger() { return TheOutput().logger(); }

std::string Output::LostLine(int64_t lines) {
  const std::string text =
      FormatLog(g_format, "log lines lost: nobody took them in time", {{"lines", lines}});
  const spdlog::details::log_msg message("parley", spdlog::level::warn, text);
  spdlog::memory_buf_t line;
  absl::MutexLock lock(&lost_mutex_);
  lost_format_->format(message, line);
  return fmt::to_string(line);
}

void Tell(const std::vector<LogLimiter::LeftOut>& kinds) {
  for (const LogLimiter::LeftOut& of : kinds) {
    Logger().log(
        spdlog::level::warn, "{}",
        FormatLog(g_format, "lines left out: too many of one event",
                  {{"of", of.kind}, {"lines", of.lines}, {"seconds", absl::ToDoubleSeconds(of.over)}}));
  }
}

void OnGrpcLog(gpr_log_func_args* args) {
  Log(LogLevel::kDebug, "grpc", {{"message", args->message}, {"file", args->file}, {"line", args->line}});
}

void OnProtobufLog(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  Log(LogLevel::kDebug, "protobuf", {{"message", message}});
}

}  // namespace

void SetUpLog(LogLevel level, LogFormat format) {
  g_format = format;
  Logger().set_level(ToSpdlog(level));
  TheOutput().SetPattern(PatternOf(format));
}

void CaptureLibraryLogs() {
  gpr_set_log_function(&OnGrpcLog);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  // Who asks for debug lines wants them all.
  if (level != LogLevel::kDebug && !TheOutput().limiter().Take(event, Clock::Real()->Now())) return;
  Logger().log(ToSpdlog(level), "{}", FormatLog(g_format, event, fields));
}

void LogPlain(const std::string& line) { TheOutput().queue().Push(absl::StrCat(line, "\n")); }

void LogWhatWasLeftOut() { Tell(TheOutput().limiter().Due(Clock::Real()->Now())); }

void FinishLog(absl::Duration limit) {
  Tell(TheOutput().limiter().Due(absl::InfiniteFuture()));
  TheOutput().queue().Flush(limit);
}

LogCounts CountsOfLog() {
  return {.lost = TheOutput().queue().lost(), .left_out = TheOutput().limiter().left_out()};
}

std::string FormatLog(LogFormat format, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line;
  if (format == LogFormat::kJson) {
    line = absl::StrCat("\"event\":", Quoted(event));
    for (const LogField& field : fields)
      absl::StrAppend(&line, ",", Quoted(field.key), ":", Quoted(field.value));
    return line;
  }
  line = absl::StrCat("event=", TextValue(std::string(event)));
  for (const LogField& field : fields)
    absl::StrAppend(&line, " ", std::string(field.key), "=", TextValue(field.value));
  return line;
}

}  // namespace parley::server

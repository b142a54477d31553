#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <memory>
#include <nlohmann/json.hpp>

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

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = spdlog::stderr_logger_mt("parley");
  return *logger;
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
  Logger().flush_on(spdlog::level::trace);
  // In JSON the pattern opens the object that FormatLog's fields close.
  const std::string pattern = format == LogFormat::kJson ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                         : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  Logger().set_pattern(pattern, spdlog::pattern_time_type::utc);
}

void CaptureLibraryLogs() {
  gpr_set_log_function(&OnGrpcLog);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  Logger().log(ToSpdlog(level), "{}", FormatLog(g_format, event, fields));
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

// Structured log lines: an event and its fields, as key=value text or as JSON, one object a line, on stderr.
// What clients say, hear or show never enters a field at info level or above.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::server {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

// Once, before other threads log. Until then lines are text at info level.
void SetUpLog(LogLevel level, LogFormat format);
// gRPC's and protobuf's own lines become debug lines: what matters of them reaches us as a status.
void CaptureLibraryLogs();

// A value of any type that absl::StrCat takes.
struct LogField {
  template <typename T>
  LogField(std::string_view key, const T& value) : key(key), value(absl::StrCat(value)) {}
  std::string_view key;
  std::string value;
};

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// The line without time and level, for tests.
std::string FormatLog(LogFormat format, std::string_view event, std::initializer_list<LogField> fields);

}  // namespace parley::server

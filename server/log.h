// Structured log lines: an event and its fields, as key=value text or as JSON, one object a line, on stderr.
// What clients say, hear or show never enters a field at info level or above.
//
// Whoever logs never waits for stderr: a thread writes (log_queue.h says what happens when it cannot). From
// info up, one event has a limited number of lines (log_limit.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

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

// `event` is of the program's text: lines are limited by it.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
// A line as it is, without time and level, whatever the level set up: what the program says before it ends.
void LogPlain(const std::string& line);

// Tells of the lines that were left out, where it is time to. To be called now and then.
void LogWhatWasLeftOut();
// Waits until all lines are written, at most `limit`: what stderr has not taken by then is lost. The end of
// the process does this, too, with a limit of a second.
void FinishLog(absl::Duration limit);

struct LogCounts {
  int64_t lost = 0;      // lines that stderr did not take in time
  int64_t left_out = 0;  // lines over their event's limit
};
LogCounts CountsOfLog();

// The line without time and level, for tests.
std::string FormatLog(LogFormat format, std::string_view event, std::initializer_list<LogField> fields);

}  // namespace parley::server

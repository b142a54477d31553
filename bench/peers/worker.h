// A peer that runs as a process of its own: a line of text to it, a line of JSON back.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace parley::bench {

// Used by one thread. The process ends with it.
class Worker {
 public:
  // Starts `command` (found in PATH) with `environment` ("NAME=value") on top of this process's, and waits
  // until it says {"ready": true}. What it writes to standard error goes to `log`, whose end an error quotes.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(const std::vector<std::string>& command,
                                                       const std::vector<std::string>& environment,
                                                       const std::string& log);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // REQUIRES: no line end in `request`. INTERNAL when the process has ended or answers with something else
  // than an object.
  absl::StatusOr<nlohmann::json> Ask(const std::string& request);

 private:
  Worker(pid_t process, std::FILE* to, std::FILE* from, std::string log)
      : process_(process), to_(to), from_(from), log_(std::move(log)) {}
  absl::StatusOr<nlohmann::json> Read();

  const pid_t process_;
  std::FILE* const to_;
  std::FILE* const from_;
  const std::string log_;
};

}  // namespace parley::bench

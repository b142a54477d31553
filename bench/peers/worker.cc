#include "bench/peers/worker.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

extern char** environ;

namespace parley::bench {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  return pointers;
}

std::string EndOf(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return text.size() > 400 ? text.substr(text.size() - 400) : text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(const std::vector<std::string>& command,
                                                      const std::vector<std::string>& environment,
                                                      const std::string& log) {
  std::signal(SIGPIPE, SIG_IGN);  // a process that is gone is an error, not the end of this one
  int requests[2];
  int answers[2];
  if (pipe2(requests, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  if (pipe2(answers, O_CLOEXEC) != 0) {
    close(requests[0]);
    close(requests[1]);
    return absl::ErrnoToStatus(errno, "pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, requests[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  std::vector<char*> arguments = Pointers(command);
  arguments.push_back(nullptr);
  std::vector<char*> variables = Pointers(environment);
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  variables.push_back(nullptr);
  pid_t process;
  const int error =
      posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  close(requests[0]);
  close(answers[1]);
  if (error != 0) {
    close(requests[1]);
    close(answers[0]);
    return absl::ErrnoToStatus(error, command[0]);
  }
  std::unique_ptr<Worker> worker(new Worker(process, fdopen(requests[1], "w"), fdopen(answers[0], "r"), log));
  const absl::StatusOr<nlohmann::json> ready = worker->Read();
  if (!ready.ok()) return ready.status();
  if (!ready->contains("ready"))
    return absl::InternalError(absl::StrCat(command[0], " says ", ready->dump()));
  return worker;
}

Worker::~Worker() {
  std::fclose(to_);  // which ends its input, and so the process
  std::fclose(from_);
  waitpid(process_, nullptr, 0);
}

absl::StatusOr<nlohmann::json> Worker::Ask(const std::string& request) {
  if (std::fprintf(to_, "%s\n", request.c_str()) < 0 || std::fflush(to_) != 0) {
    return absl::InternalError(absl::StrCat("the peer has ended: ", EndOf(log_)));
  }
  return Read();
}

absl::StatusOr<nlohmann::json> Worker::Read() {
  char* line = nullptr;
  size_t capacity = 0;
  const ssize_t length = getline(&line, &capacity, from_);
  const std::string text = length > 0 ? std::string(line, length) : "";
  std::free(line);
  if (text.empty()) return absl::InternalError(absl::StrCat("the peer has ended: ", EndOf(log_)));
  nlohmann::json answer = nlohmann::json::parse(text, nullptr, false);
  if (!answer.is_object()) return absl::InternalError(absl::StrCat("the peer says ", text));
  return answer;
}

}  // namespace parley::bench

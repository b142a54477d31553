// parley-server as a process: its ready line, its exit codes, its signals.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/running_clock.h"
#include "tests/call/test_png.h"
#include "tests/server/server_harness.h"

extern char** environ;

namespace parley::server {
namespace {

using M = v1::ServerMessage;
using ::testing::HasSubstr;
using ::testing::Not;

class Program {
 public:
  struct Setup {
    std::vector<std::string> environment;  // NAME=VALUE, beside what the test itself has
    bool small_error_pipe = false;         // as small as a pipe can be: a page
  };
  explicit Program(std::vector<std::string> arguments) : Program(std::move(arguments), Setup()) {}
  Program(std::vector<std::string> arguments, Setup setup) {
    int out[2];
    int err[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    if (setup.small_error_pipe) {
      EXPECT_GT(fcntl(err[0], F_SETPIPE_SZ, 1), 0);
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    arguments.insert(arguments.begin(), PARLEY_SERVER_BINARY);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<char*> envp;
    for (std::string& variable : setup.environment) envp.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
    envp.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    out_ = fdopen(out[0], "r");
    err_ = err[0];
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      Wait();
    }
    fclose(out_);
    close(err_);
  }
  std::string Line() {
    char buffer[1'024];
    return fgets(buffer, sizeof(buffer), out_) != nullptr ? buffer : "";
  }
  // From "listening on 127.0.0.1:12345".
  std::string Address() {
    const std::string line = Line();
    EXPECT_THAT(line, ::testing::StartsWith("listening on "));
    return line.size() < 14 ? "" : line.substr(13, line.size() - 14);
  }
  void Signal(int number) { kill(pid_, number); }
  // Exit code, or -signal.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Reads stderr until these words come, or it ends.
  void AwaitError(const std::string& words) {
    char buffer[4'096];
    while (errors_.find(words) == std::string::npos) {
      const ssize_t n = read(err_, buffer, sizeof(buffer));
      ASSERT_GT(n, 0) << words;
      errors_.append(buffer, n);
    }
  }
  // Reads stderr to its end, so that the program can write.
  void AwaitEnd() { Errors(); }
  // All of stderr; call after Wait.
  std::string Errors() {
    char buffer[4'096];
    for (ssize_t n; (n = read(err_, buffer, sizeof(buffer))) > 0;) errors_.append(buffer, n);
    return errors_;
  }

 private:
  pid_t pid_ = -1;
  FILE* out_ = nullptr;
  int err_ = -1;
  std::string errors_;
};

std::vector<std::string> Fake(std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--engine", "fake", "--port", "0", "--metrics-address", "none"});
  return more;
}

TEST(Program, TakesCallsAndExitsWithZeroAfterADrain) {
  Program program(Fake());
  const auto channel = grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials());
  TestCall call(channel);
  ASSERT_TRUE(call.Open({}));
  const M ready = call.Await(M::kReady);
  EXPECT_EQ(ready.ready().server_config().at("engine"), "fake");
  program.Signal(SIGTERM);
  call.Await(M::kGoAway);
  call.SendText("Still there?");
  call.Await(M::kResponseDone);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_THAT(program.Errors(), HasSubstr("THE FAKE ENGINE IS IN USE"));
}

TEST(Program, DecodesPicturesInProcessesUnlessToldOtherwise) {
  for (const std::string where : {"process", "in-process"}) {
    Program program(Fake({"--picture-decoders", where}));
    TestCall call(grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials()));
    v1::SessionConfig config;
    config.mutable_video()->set_codec(v1::VideoFormat::PNG);
    ASSERT_TRUE(call.Open(config));
    EXPECT_EQ(call.Await(M::kReady).ready().server_config().at("picture-decoders"), where);
    v1::ClientMessage frame;
    frame.mutable_video()->set_frame_id(1);
    frame.mutable_video()->set_data(streaming::TestPng(50));
    ASSERT_TRUE(call.Send(std::move(frame)));
    EXPECT_EQ(call.Await(M::kInputStatus).input_status().outcome(), v1::InputStatus::ENCODED);
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
    program.Signal(SIGTERM);
    EXPECT_EQ(program.Wait(), 0);
    EXPECT_EQ(program.Errors().find("pictures are decoded in the server") != std::string::npos,
              where == "in-process");
  }
}

TEST(Program, TakesCallsAtASocketFileAndRemovesIt) {
  const std::string path = absl::StrCat("/tmp/parley_program_test.", getpid(), ".sock");
  Program program(Fake({"--address", "unix:" + path}));
  EXPECT_EQ(program.Address(), "unix:" + path);
  TestCall call(grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(Program, LogsNothingThatAClientSaid) {
  Program program(Fake());
  {
    TestCall call(grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials()));
    v1::SessionConfig config;
    config.set_instructions("Keep the word plover secret.");
    ASSERT_TRUE(call.Open(config));
    call.SendText("Is the word plover?");
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
  }
  program.Signal(SIGINT);
  EXPECT_EQ(program.Wait(), 0);
  const std::string log = program.Errors();
  EXPECT_THAT(log, HasSubstr("event=\"call opened\" call_id="));
  EXPECT_THAT(log, Not(HasSubstr("plover")));
}

TEST(Program, AnErrorStreamThatNobodyReadsHoldsUpNoCallAndNoEnd) {
  Program program(Fake(), {.small_error_pipe = true});  // which the lines of the start fill
  const auto channel = grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials());
  for (int i = 0; i < 50; ++i) {
    TestCall call(channel);
    ASSERT_TRUE(call.Open({}));
    call.SendText("Is anybody there?");
    call.Await(M::kResponseDone);
    call.Close();
    EXPECT_TRUE(call.Finish().ok());
  }
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
}

TEST(Program, StartedWithClosedStreamsItPrintsIntoNoFileOfItsOwn) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; ++fd) posix_spawn_file_actions_addclose(&actions, fd);
  std::vector<std::string> arguments = Fake();
  arguments.insert(arguments.begin(), PARLEY_SERVER_BINARY);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  ASSERT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  const auto path = [pid](const std::string& fd) {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + fd, error).string();
  };
  // Until it listens.
  EXPECT_TRUE(Eventually([&] {
    bool listens = false;
    for (int fd = 3; fd < 64; ++fd) listens |= path(std::to_string(fd)).starts_with("socket:");
    return listens && path("0") == "/dev/null" && path("1") == "/dev/null" && path("2") == "/dev/null";
  }));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

// In real time: it is the system that stops it.
TEST(Program, StoppedForAWhileItSaysSoAndItsCallsGoOn) {
  Program program(Fake());
  TestCall call(grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  program.Signal(SIGSTOP);
  const absl::Time goes_on = absl::Now() + RunningClock::kLongestStep + absl::Milliseconds(300);
  ASSERT_TRUE(Eventually([&] { return absl::Now() > goes_on; }));
  program.Signal(SIGCONT);
  program.AwaitError("the process stood still");
  call.SendText("Still there?");
  call.Await(M::kResponseDone);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
}

TEST(Program, AHangUpEndsNothing) {
  Program program(Fake());
  TestCall call(grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  program.Signal(SIGHUP);
  call.SendText("Still there?");
  call.Await(M::kResponseDone);
  call.Close();
  EXPECT_TRUE(call.Finish().ok());
  program.Signal(SIGHUP);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 0);
  const std::string log = program.Errors();
  EXPECT_THAT(log, HasSubstr("there are no files to read again"));
  EXPECT_THAT(log, Not(HasSubstr("certificates were read again")));
}

// The dynamic linker tells before each library's constructors that it calls them, and stands still while
// nobody reads more of that than a page.
class ProgramInConstructors : public Program {
 public:
  ProgramInConstructors()
      : Program(Fake({"--picture-decoders", "in-process"}),
                {.environment = {"LD_DEBUG=files"}, .small_error_pipe = true}) {
    AwaitError("calling init: ");
  }
};

TEST(Program, AHangUpBeforeMainEndsNothing) {
  ProgramInConstructors program;
  program.Signal(SIGHUP);
  program.AwaitError("no files are read again before the server is ready");
  program.AwaitError("event=engine ");
  program.Signal(SIGTERM);
  program.AwaitEnd();
  EXPECT_EQ(program.Wait(), 0);
}

TEST(Program, TheOtherSignalsEndItBeforeMain) {
  for (const int number : {SIGTERM, SIGINT}) {
    ProgramInConstructors program;
    program.Signal(number);
    EXPECT_EQ(program.Wait(), -number);
  }
}

TEST(Program, ACertificatePathThatIsNoFileHoldsUpNoSignalAndIsNamed) {
  const std::string data = std::string(PARLEY_SOURCE_DIR) + "/tests/server/testdata/localhost.";
  const std::string path = absl::StrCat(::testing::TempDir(), "/parley_program_test.", getpid(), ".pem");
  for (const bool twice : {false, true}) {
    std::filesystem::copy_file(data + "cert.pem", path, std::filesystem::copy_options::overwrite_existing);
    Program program(Fake({"--tls-cert", path, "--tls-key", data + "key.pem"}));
    const std::string address = program.Address();
    grpc::SslCredentialsOptions trust;
    std::ifstream file(data + "cert.pem");
    trust.pem_root_certs = std::string(std::istreambuf_iterator<char>(file), {});
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("localhost");
    TestCall call(grpc::CreateCustomChannel(address, grpc::SslCredentials(trust), arguments));
    ASSERT_TRUE(call.Open({}));
    call.Await(M::kReady);
    std::filesystem::remove(path);
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    program.Signal(SIGHUP);
    program.AwaitError(path + ": is a FIFO");
    program.AwaitError("in_use=\"those of before\"");
    program.Signal(SIGTERM);
    call.Await(M::kGoAway);
    if (twice) {
      program.Signal(SIGTERM);
      EXPECT_EQ(program.Wait(), 128 + SIGTERM);
    } else {
      call.Close();
      EXPECT_TRUE(call.Finish().ok());
      EXPECT_EQ(program.Wait(), 0);
    }
    std::filesystem::remove(path);
  }
}

TEST(Program, SecondSignalStopsAtOnce) {
  Program program(Fake());
  TestCall call(grpc::CreateChannel(program.Address(), grpc::InsecureChannelCredentials()));
  ASSERT_TRUE(call.Open({}));
  call.Await(M::kReady);
  program.Signal(SIGTERM);
  call.Await(M::kGoAway);
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), 128 + SIGTERM);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Program, WhatIsWrongIsOneLineAndANonZeroCode) {
  Program first(Fake());
  const std::string address = first.Address();
  const std::string port = address.substr(address.find(':') + 1);
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--engine", "fake", "--metrics-address", "none", "--log-level", "error", "--port", port},
       "Address already in use"},
      {{"--model", "/no/such/bundle"}, "parley-server: "},
      {{"--engine", "fake", "--max-calls", "0"}, "--max-calls"},
      {Fake({"--log-level", "error", "--decoder-program", "/no/decoder"}), "/no/decoder: No such file"},
      {{"--engine", "fake", "--address", "0.0.0.0"}, "--insecure-any-address"},
      {Fake({"--log-level", "error", "--tls-cert", "/no/c.pem", "--tls-key", "/no/k.pem"}), "/no/c.pem"},
  };
  for (const auto& [arguments, words] : cases) {
    Program program(arguments);
    EXPECT_NE(program.Wait(), 0) << words;
    const std::string errors = program.Errors();
    EXPECT_THAT(errors, HasSubstr(words));
    EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 1) << errors;
  }
}

}  // namespace
}  // namespace parley::server

#include "base/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace parley {
namespace {

std::string PathOf(int fd) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
}

// In a process of its own, whose streams are closed.
int ExitCode(bool keep_errors) {
  const std::string errors = PathOf(2);
  for (int fd = 0; fd < (keep_errors ? 2 : 3); ++fd) close(fd);
  OpenStandardStreams();
  if (PathOf(0) != "/dev/null" || PathOf(1) != "/dev/null") return 1;
  if (PathOf(2) != (keep_errors ? errors : "/dev/null")) return 2;
  return open("/dev/zero", O_RDONLY) > 2 ? 0 : 3;
}

TEST(StandardStreamsDeathTest, ThoseThatAreClosedAreOpenedAndNoOther) {
  EXPECT_EXIT(std::_Exit(ExitCode(true)), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(std::_Exit(ExitCode(false)), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace parley

#include "base/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/cleanup/cleanup.h"

namespace parley {
namespace {

using ::testing::HasSubstr;

class ReadRegularFileTest : public ::testing::Test {
 protected:
  ReadRegularFileTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ReadRegularFileTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  const std::string folder_ = ::testing::TempDir() + "/parley_read_file." + std::to_string(getpid());
};

TEST_F(ReadRegularFileTest, AFileIsReadWholeThroughALinkToo) {
  std::ofstream(Path("file"), std::ios::binary) << std::string(200'000, 'x');
  std::filesystem::create_symlink("file", Path("link"));
  EXPECT_EQ(ReadRegularFile(Path("file"), 200'000).value(), std::string(200'000, 'x'));
  EXPECT_EQ(ReadRegularFile(Path("link"), 200'000).value().size(), 200'000u);
  std::ofstream(Path("empty")).flush();
  EXPECT_EQ(ReadRegularFile(Path("empty"), 0).value(), "");
}

TEST_F(ReadRegularFileTest, MoreThanTheLimitIsRefusedWhateverTheSizeSays) {
  std::ofstream(Path("file")) << "12345";
  const absl::Status status = ReadRegularFile(Path("file"), 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("file") + ": 5 bytes"));
  // Its size is 0.
  EXPECT_EQ(ReadRegularFile("/proc/self/status", 4).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ReadRegularFileTest, WhatIsNoFileIsNamedAndNeverWaitedFor) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("fifo", Path("link"));
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const absl::Cleanup closed = [listener] { close(listener); };
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(address.sun_path, Path("socket").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  for (const auto& [path, words] :
       {std::pair(Path("fifo"), "is a FIFO, not a file"), std::pair(Path("link"), "is a FIFO, not a file"),
        std::pair(Path("socket"), "is a socket, not a file"),
        std::pair(folder_, "is a directory, not a file"),
        std::pair(std::string("/dev/zero"), "is a device, not a file")}) {
    const absl::Status status = ReadRegularFile(path, 1'000).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": " + words));
  }
  EXPECT_EQ(ReadRegularFile(Path("none"), 1'000).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace parley

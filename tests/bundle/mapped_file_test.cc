#include "engine/bundle/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace parley::engine::bundle {
namespace {

using ::testing::ExitedWithCode;
using ::testing::HasSubstr;
using ::testing::KilledBySignal;

class MappedFileTest : public ::testing::Test {
 protected:
  MappedFileTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  ~MappedFileTest() override { std::filesystem::remove(path_); }
  void Write(size_t bytes) { std::ofstream(path_) << std::string(bytes, 'x'); }
  static int Sum(const MappedFile& file) {
    int sum = 0;
    for (size_t i = 0; i < file.bytes().size(); i += 4'096) sum += static_cast<int>(file.bytes()[i]);
    return sum;
  }
  const std::string path_ = ::testing::TempDir() + "/parley_mapped." +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, AFileThatIsCutShortInUseEndsTheProcessWithItsNameAndACode) {
  EXPECT_EXIT(
      {
        EndWhereAMappedFileIsLost();
        Write(100'000);
        const auto file = MappedFile::Open(path_);
        if (!file.ok() || truncate(path_.c_str(), 10) != 0) std::_Exit(1);
        std::_Exit(Sum(**file) == 0 ? 2 : 3);
      },
      ExitedWithCode(kMappedFileLostExitCode), "the file .*parley_mapped.* was cut short");
}

TEST_F(MappedFileDeathTest, AnotherBusErrorEndsAsItWouldHave) {
  EXPECT_EXIT(
      {
        signal(SIGBUS, SIG_DFL);  // not a sanitizer's
        EndWhereAMappedFileIsLost();
        raise(SIGBUS);
      },
      KilledBySignal(SIGBUS), "");
}

TEST_F(MappedFileTest, AFileThatIsReplacedByRenameStays) {
  Write(100'000);
  const auto file = MappedFile::Open(path_);
  ASSERT_TRUE(file.ok());
  const int sum = Sum(**file);
  std::ofstream(path_ + ".new") << "another";
  std::filesystem::rename(path_ + ".new", path_);
  EXPECT_EQ(Sum(**file), sum);
}

// Cut short at any moment of its opening and reading: an error, or the end by the code.
TEST_F(MappedFileDeathTest, AFileThatIsCutShortWhileItIsOpenedIsNoCrash) {
  EXPECT_EXIT(
      {
        EndWhereAMappedFileIsLost();
        Write(100'000);
        std::thread([this] {
          while (true) {
            (void)!truncate(path_.c_str(), 1);
            (void)!truncate(path_.c_str(), 100'000);
          }
        }).detach();
        for (int i = 0; i < 2'000; ++i) {
          const auto file = MappedFile::Open(path_);
          if (file.ok()) Sum(**file);
          if (!file.ok() && !absl::IsDataLoss(file.status())) std::_Exit(1);
          if (const auto text = ReadTextFile(path_); !text.ok()) std::_Exit(2);
        }
        std::_Exit(kMappedFileLostExitCode);
      },
      ExitedWithCode(kMappedFileLostExitCode), "");
}

TEST_F(MappedFileTest, ATextOverItsLimitIsRefused) {
  Write(100);
  EXPECT_EQ(ReadTextFile(path_, 99).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadTextFile(path_, 100).value().size(), 100u);
  EXPECT_EQ(ReadTextFile(path_ + ".none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadTextFile(::testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace parley::engine::bundle

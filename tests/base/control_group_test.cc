#include "base/control_group.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/memory.h"
#include "base/processors.h"

namespace parley {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMiB = int64_t{1} << 20;

// A tree of /proc and /sys/fs/cgroup.
class ControlGroupTest : public ::testing::Test {
 protected:
  ControlGroupTest() {
    fs::remove_all(root_);
    Write("/proc/meminfo", "MemAvailable: 8388608 kB\n");  // 8 GiB
  }
  ~ControlGroupTest() override { fs::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void WriteVersion2(const std::string& group, const std::string& mount_root = "/") {
    Write("/proc/self/cgroup", "0::" + group + "\n");
    Write("/proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n30 23 0:26 " + mount_root +
                                      " /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void WriteVersion1(const std::string& group, const std::string& mount_root = "/") {
    Write("/proc/self/cgroup",
          "12:pids:/other\n9:memory:" + group + "\n3:cpu,cpuacct:" + group + "\n1:name=systemd:/x\n");
    Write("/proc/self/mountinfo",
          "33 31 0:30 " + mount_root + " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
              "35 31 0:32 " + mount_root + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  }
  const std::string root_ = ::testing::TempDir() + "/parley_cgroup." +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ControlGroupTest, WithoutGroupsThereIsNoLimit) {
  EXPECT_EQ(ReadControlGroups(root_).memory_left, -1);
  EXPECT_EQ(ReadControlGroups(root_).processors, -1);
  EXPECT_EQ(AvailableMemoryBytes(root_), 8'192 * kMiB);
}

TEST_F(ControlGroupTest, Version2LimitsMemoryAndProcessors) {
  WriteVersion2("/");
  Write("/sys/fs/cgroup/memory.max", "2147483648\n");
  Write("/sys/fs/cgroup/memory.high", "max\n");
  Write("/sys/fs/cgroup/memory.current", "1073741824\n");
  Write("/sys/fs/cgroup/memory.stat", "anon 5\nfile 900000000\ninactive_file 536870912\nactive_file 7\n");
  Write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(AvailableMemoryBytes(root_), 1'536 * kMiB);  // idle file pages can be had
  EXPECT_EQ(ReadControlGroups(root_).processors, 1.5);
  EXPECT_EQ(UsableProcessors(root_).usable, 1);
}

TEST_F(ControlGroupTest, WithoutValuesVersion2LimitsNothing) {
  WriteVersion2("/system.slice/parley.service");
  Write("/sys/fs/cgroup/system.slice/parley.service/memory.max", "max\n");
  Write("/sys/fs/cgroup/system.slice/parley.service/memory.current", "100\n");
  Write("/sys/fs/cgroup/system.slice/parley.service/cpu.max", "max 100000\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, -1);
  EXPECT_EQ(ReadControlGroups(root_).processors, -1);
  EXPECT_EQ(UsableProcessors(root_).usable, UsableProcessors(root_).allowed);
}

TEST_F(ControlGroupTest, TheTightestOfTheGroupsAroundCounts) {
  WriteVersion2("/kubepods/pod1/main");
  const std::string top = "/sys/fs/cgroup/kubepods";
  for (const std::string& group : {top, top + "/pod1", top + "/pod1/main"})
    Write(group + "/memory.current", "104857600\n");
  Write(top + "/memory.max", "1073741824\n");
  Write(top + "/pod1/memory.max", "629145600\n");
  Write(top + "/pod1/main/memory.max", "max\n");
  Write(top + "/cpu.max", "250000 50000\n");
  Write(top + "/pod1/main/cpu.max", "700000 100000\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, 500 * kMiB);
  EXPECT_EQ(ReadControlGroups(root_).processors, 5);
}

TEST_F(ControlGroupTest, Version1LimitsMemoryAndProcessors) {
  WriteVersion1("/docker/abc");
  const std::string memory = "/sys/fs/cgroup/memory/docker/abc";
  Write(memory + "/memory.limit_in_bytes", "1073741824\n");
  Write(memory + "/memory.usage_in_bytes", "536870912\n");
  Write(memory + "/memory.stat", "inactive_file 1\ntotal_inactive_file 104857600\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2147483648\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "50000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(AvailableMemoryBytes(root_), (1'024 - 512 + 100) * kMiB);
  EXPECT_EQ(ReadControlGroups(root_).processors, 0.5);
  EXPECT_EQ(UsableProcessors(root_).usable, 1);
}

// The container sees its group as the root of what is mounted, and its path as the host sees it.
TEST_F(ControlGroupTest, AGroupThatIsMountedAsTheRootIsFound) {
  WriteVersion1("/docker/abc", "/docker/abc");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, 1'024 * kMiB);
  WriteVersion2("/../../abc");
  Write("/sys/fs/cgroup/memory.max", "2097152\n");
  Write("/sys/fs/cgroup/memory.current", "1048576\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, kMiB);
}

TEST_F(ControlGroupTest, NonsenseLimitsNothing) {
  WriteVersion2("/a:b");
  Write("/sys/fs/cgroup/a:b/memory.max", "many\n");
  Write("/sys/fs/cgroup/a:b/memory.current", "1\n");
  Write("/sys/fs/cgroup/a:b/cpu.max", "0 0\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, -1);
  EXPECT_EQ(ReadControlGroups(root_).processors, -1);
  Write("/proc/self/mountinfo", "- -\n1 2 3 - cgroup2\n - cgroup2 x y\n");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, -1);
}

TEST_F(ControlGroupTest, AFileThatCannotBeReadLimitsNothing) {
  WriteVersion2("/");
  Write("/sys/fs/cgroup/memory.current", "1\n");
  // A folder opens like a file, and each read of it fails, as of a group that was removed meanwhile.
  fs::create_directories(root_ + "/sys/fs/cgroup/memory.max");
  fs::create_directories(root_ + "/sys/fs/cgroup/cpu.max");
  EXPECT_EQ(ReadControlGroups(root_).memory_left, -1);
  EXPECT_EQ(ReadControlGroups(root_).processors, -1);
  fs::remove(root_ + "/proc/meminfo");
  fs::create_directories(root_ + "/proc/meminfo");
  EXPECT_GT(AvailableMemoryBytes(root_), 0);
}

TEST(Processors, ThisMachineHasOne) {
  EXPECT_GE(UsableProcessors().usable, 1);
  EXPECT_LE(UsableProcessors().usable, UsableProcessors().allowed);
}

}  // namespace
}  // namespace parley

#include "base/memory.h"

#include <gtest/gtest.h>

namespace parley {
namespace {

TEST(Memory, MemAvailableIsFoundByNameAndGivenInBytes) {
  EXPECT_EQ(MemAvailableOf("MemTotal:  8000 kB\nMemFree: 10 kB\nMemAvailable:    3000 kB\n"), 3000 * 1024);
  EXPECT_EQ(MemAvailableOf("MemTotal:  8000 kB\n"), -1);
  EXPECT_EQ(MemAvailableOf("MemAvailable: much\n"), -1);
  EXPECT_EQ(MemAvailableOf(""), -1);
}

TEST(Memory, ThisMachineHasSome) { EXPECT_GE(AvailableMemoryBytes(), int64_t{256} << 20); }

}  // namespace
}  // namespace parley

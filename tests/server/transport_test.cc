#include "server/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace parley::server {
namespace {

using ::testing::HasSubstr;

ServerOptions At(const std::string& address) {
  ServerOptions options;
  options.address = address;
  return options;
}

TEST(KnownWeakness, OfAnOldGrpcIsSaidWhereOtherMachinesReachIt) {
  for (const char* version : {"1.51.1", "1.56.2", "1.56", "0.9.9", "unknown", ""}) {
    EXPECT_THAT(KnownWeakness(At("0.0.0.0"), version), HasSubstr("CVE-2023-44487")) << version;
    EXPECT_NE(KnownWeakness(At("parley.example.org"), version), "") << version;
  }
  for (const char* version : {"1.56.3", "1.56.10", "1.57.0", "1.60.0-dev", "2.0.0"}) {
    EXPECT_EQ(KnownWeakness(At("0.0.0.0"), version), "") << version;
  }
}

TEST(KnownWeakness, IsNobodysWhereOnlyThisMachineComesIn) {
  for (const char* address : {"127.0.0.1", "::1", "localhost", "unix:/run/parley.sock"}) {
    EXPECT_EQ(KnownWeakness(At(address), "1.51.1"), "") << address;
  }
}

TEST(ListenerOptions, AreNoMoreConnectionsThanDescriptorsLeaveRoomFor) {
  ServerOptions options;
  options.max_connections = 1'000'000'000;
  EXPECT_EQ(MakeListenerOptions(options).max_connections, RaiseDescriptorLimit() - 128);
  options.max_connections = 7;
  EXPECT_EQ(MakeListenerOptions(options).max_connections, 7);
}

}  // namespace
}  // namespace parley::server

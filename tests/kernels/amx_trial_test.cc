#include "engine/kernels/amx_trial.h"

#include <gtest/gtest.h>

#include "amx_emulator.h"
#include "engine/kernels/cpu_features.h"

namespace parley::engine::kernels {
namespace {

TEST(AmxTrial, RefusesAnAmxThatIsSlowerThanAvx512) {
  if (!HasIsa(Isa::kAvx512) || HasIsa(Isa::kAmx)) GTEST_SKIP() << "needs AVX-512 without AMX";
  AmxEmulator slow;
  EXPECT_FALSE(AmxIsFaster());
  EXPECT_GT(AmxEmulator::instructions(), 0);
}

}  // namespace
}  // namespace parley::engine::kernels

#include "engine/assembly/arithmetic.h"

#include <gtest/gtest.h>

#include "engine/kernels/cpu_features.h"
#include "engine/model/kv_format.h"

namespace parley::engine::assembly {
namespace {

TEST(Arithmetic, AutoTakesTheIntegerKernelsWhereThereAreAny) {
  const auto choice = ChooseArithmetic("auto");
  ASSERT_TRUE(choice.ok()) << choice.status();
  const bool integers = kernels::DetectIsa() != kernels::Isa::kPortable;
  EXPECT_EQ(choice->language_model, integers ? Arithmetic::kInt16 : Arithmetic::kFp32);
  EXPECT_EQ(choice->speech_encoder, integers ? Arithmetic::kInt8 : Arithmetic::kFp32);
  EXPECT_EQ(ChooseArithmetic("auto", "torch-cpu")->language_model, Arithmetic::kFp32);
}

TEST(Arithmetic, WhatIsAskedForIsTakenForAllParts) {
  const auto choice = ChooseArithmetic("bf16");
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->language_model, Arithmetic::kBf16);
  EXPECT_EQ(choice->speech_encoder, Arithmetic::kBf16);
  EXPECT_EQ(ChooseArithmetic("int4").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(KvFormat, FormatsOfKeysAndValuesHaveNames) {
  EXPECT_EQ(*KvFormatByName("auto"), std::nullopt);
  EXPECT_EQ(*KvFormatByName("fp32"), KvFormat::kFp32);
  EXPECT_EQ(*KvFormatByName("int8"), KvFormat::kInt8);
  EXPECT_EQ(KvFormatByName("int4").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace parley::engine::assembly

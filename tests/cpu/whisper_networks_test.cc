// Whisper's numbers: the log-mel spectrogram, the encoder's values and the decoder's scores, against the
// reference and in every arithmetic.
#include <cmath>

#include "engine/cpu/whisper/encoder.h"
#include "engine/cpu/whisper/layer_runner.h"
#include "engine/cpu/whisper/layers.h"
#include "engine/cpu/whisper/log_mel.h"
#include "tests/cpu/whisper_encoding.h"
#include "tests/cpu/whisper_fixture.h"

namespace parley::engine::whisper {
namespace {

TEST(WhisperNetworks, LogMelIsTheReferences) {
  const std::vector<float> expected = parley::testing::ReadFloats("whisper_log_mel.f32");
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize(30 * kSampleRateHz);
  const std::vector<float> frames = cpu::LogMel(80).Compute(samples);
  ASSERT_EQ(frames.size(), 80u * 3000);
  ASSERT_EQ(expected.size(), 80u * 96);  // [80, 96]
  for (int i = 0; i < 80 * 96; ++i)
    ASSERT_NEAR(frames[i % 96 * 80 + i / 96], expected[i], 1e-4) << "value " << i;
}

TEST(WhisperNetworks, TrimmedAudioHasTheLogMelOfTheFullWindow) {
  std::vector<float> samples = parley::testing::ReadClip("rms_book");
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  const std::vector<float> trimmed = cpu::LogMel(80).Compute(samples);
  samples.resize(30 * kSampleRateHz);
  const std::vector<float> full = cpu::LogMel(80).Compute(samples);
  ASSERT_LT(trimmed.size(), full.size());
  for (size_t i = 0; i < trimmed.size(); ++i) ASSERT_NEAR(trimmed[i], full[i], 1e-6) << "value " << i;
}

TEST(WhisperNetworks, EncodingOfAFullWindowIsTheReferences) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize(30 * kSampleRateHz);
  ExpectEncoding(EncodeInFp32(samples), 50, parley::testing::ReadFloats("whisper_encoder_full.f32"));
}

TEST(WhisperNetworks, EncodingOfTrimmedAudioIsTheReferencesWithTruncatedPositions) {
  ExpectEncoding(EncodeInFp32(Trimmed("slt_capital")), 10,
                 parley::testing::ReadFloats("whisper_encoder_trimmed.f32"));
}

// The clip's window after its encoding has ended.
std::unique_ptr<Networks::Window> EncodedWindow(const Whisper& whisper, const std::string& clip) {
  Networks& networks = *whisper.parts().networks;
  auto window = networks.Begin(Trimmed(clip));
  EXPECT_TRUE(window.ok()) << window.status();
  for (int i = 0; i < whisper.parts().config.encoder_layers; ++i) {
    EXPECT_TRUE(networks.EncodeLayer(**window).ok());
  }
  EXPECT_TRUE(networks.EndEncoding(**window).ok());
  return *std::move(window);
}

std::vector<TokenId> EnglishPrompt() {
  const SpecialTokens& tokens = English().parts().tokens;
  return {tokens.start, English().parts().language, tokens.transcribe};
}

TEST(WhisperNetworks, ScoresInIntegersWhatFp32Does) {
  const auto integers = LoadWhisper("en", Arithmetic::kInt16);
  ASSERT_TRUE(integers.ok()) << integers.status();
  const std::vector<TokenId> prompt = EnglishPrompt();
  const auto scores = [&](const Whisper& whisper) {
    const auto window = EncodedWindow(whisper, "slt_capital");
    std::vector<float> first, last;
    const Networks::Entry entry = {window.get(), prompt, &first, &last};
    EXPECT_TRUE(whisper.parts().networks->Decode({&entry, 1}).ok());
    first.insert(first.end(), last.begin(), last.end());
    return first;
  };
  const std::vector<float> exact = scores(English());
  const std::vector<float> other = scores(**integers);
  ASSERT_EQ(exact.size(), other.size());
  double squares = 0, differences = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    squares += exact[i] * exact[i];
    differences += (exact[i] - other[i]) * (exact[i] - other[i]);
  }
  EXPECT_LT(std::sqrt(differences / squares), 0.05);  // weights have 8 bits
}

TEST(WhisperNetworks, AWindowsScoresAreTheSameBitsAloneAndBesideOthers) {
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    Networks& networks = *(*whisper)->parts().networks;
    const std::vector<std::vector<TokenId>> steps = {EnglishPrompt(), {50364}, {2221}, {307}};
    const std::vector<std::string> clips = {"slt_capital", "slt_spider", "rms_book"};
    std::vector<std::vector<std::vector<float>>> alone(clips.size());
    for (size_t c = 0; c < clips.size(); ++c) {
      const auto window = EncodedWindow(**whisper, clips[c]);
      for (const auto& tokens : steps) {
        const Networks::Entry entry = {window.get(), tokens, nullptr, &alone[c].emplace_back()};
        ASSERT_TRUE(networks.Decode({&entry, 1}).ok());
      }
    }
    // Beside the others, and not all at the same step: the last clip begins one step later.
    std::vector<std::unique_ptr<Networks::Window>> windows;
    for (const std::string& clip : clips) windows.push_back(EncodedWindow(**whisper, clip));
    for (size_t step = 0; step <= steps.size(); ++step) {
      std::vector<std::vector<float>> scores(clips.size());
      std::vector<Networks::Entry> entries;
      const auto step_of = [&](size_t c) { return c + 1 == clips.size() ? step - 1 : step; };
      for (size_t c = 0; c < clips.size(); ++c) {
        if (step_of(c) < steps.size()) {
          entries.push_back({windows[c].get(), steps[step_of(c)], nullptr, &scores[c]});
        }
      }
      ASSERT_TRUE(networks.Decode(entries).ok());
      for (size_t c = 0; c < clips.size(); ++c) {
        if (step_of(c) < steps.size()) {
          EXPECT_EQ(scores[c], alone[c][step_of(c)]) << ArithmeticName(arithmetic) << ", " << clips[c];
        }
      }
    }
  }
}

// Where each token of the clip's text is heard, by networks.
std::vector<float> AlignmentOf(Networks& networks, Networks::Window& window, absl::Span<const TokenId> tokens,
                               size_t at_once) {
  for (size_t i = 0; i < tokens.size(); i += at_once) {
    std::vector<float> scores;
    const Networks::Entry entry = {&window, tokens.subspan(i, at_once), nullptr, &scores};
    EXPECT_TRUE(networks.Decode({&entry, 1}).ok());
  }
  const auto attention = networks.Alignment(window, 1, static_cast<int>(tokens.size()) - 1);
  EXPECT_TRUE(attention.ok()) << attention.status();
  return attention.ok() ? *attention : std::vector<float>();
}

// The prompt, and "What is the capital of France?" with its timestamps: ALIGNED of
// tests/reference/whisper.py.
const std::vector<TokenId> kAlignedTokens = {50258, 50259, 50359, 50364, 708, 307,
                                             264,   4238,  295,   6190,  30,  50464};

TEST(WhisperNetworks, AlignmentIsTheSameBitsOneByOneAndTogetherAndTheReferencesToFourPlaces) {
  std::vector<TokenId> tokens = EnglishPrompt();
  const std::vector<TokenId> written = Write(English(), parley::testing::ReadClip("slt_capital")).tokens();
  tokens.insert(tokens.end(), written.begin(), written.end());
  ASSERT_EQ(tokens, kAlignedTokens);
  std::vector<float> exact;
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8}) {
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    Networks& networks = *(*whisper)->parts().networks;
    const std::vector<float> alone =
        AlignmentOf(networks, *EncodedWindow(**whisper, "slt_capital"), tokens, 1);
    EXPECT_EQ(AlignmentOf(networks, *EncodedWindow(**whisper, "slt_capital"), tokens, 5), alone);
    if (arithmetic == Arithmetic::kFp32) exact = alone;
  }
  // Of transformers, on the full numbers of its own encoder.
  const std::vector<float> expected = parley::testing::ReadFloats("whisper_alignment.f32");
  ASSERT_EQ(exact.size(), expected.size());
  for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(exact[i], expected[i], 1e-4) << i;
}

TEST(WhisperNetworks, RowsRunTogetherHaveTheScoresOfRowsRunOneByOneAndCanBeTakenBack) {
  const std::vector<TokenId> rest = {50364, 2221, 307};
  std::vector<TokenId> tokens = EnglishPrompt();
  const size_t prompt = tokens.size();
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    SCOPED_TRACE(ArithmeticName(arithmetic));
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    Networks& networks = *(*whisper)->parts().networks;
    const auto run = [&](Networks::Window& window, absl::Span<const TokenId> some, int scored) {
      std::vector<float> scores;
      const Networks::Entry entry = {&window, some, nullptr, &scores, scored};
      EXPECT_TRUE(networks.Decode({&entry, 1}).ok());
      return scores;
    };
    const auto alone = EncodedWindow(**whisper, "slt_capital");
    std::vector<float> expected = run(*alone, absl::MakeConstSpan(tokens).first(prompt), 1);
    for (const TokenId token : rest) {
      const std::vector<float> scores = run(*alone, {&token, 1}, 1);
      expected.insert(expected.end(), scores.begin(), scores.end());
    }
    const auto together = EncodedWindow(**whisper, "slt_capital");
    EXPECT_EQ(run(*together, tokens, 4), expected);
    networks.TakeBack(*together, 2);
    const size_t vocabulary = expected.size() / 4;
    EXPECT_EQ(run(*together, absl::MakeConstSpan(rest).subspan(1), 2),
              std::vector<float>(expected.begin() + static_cast<ptrdiff_t>(2 * vocabulary), expected.end()));
  }
}

}  // namespace
}  // namespace parley::engine::whisper

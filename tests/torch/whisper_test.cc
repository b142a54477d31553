#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>

#include "absl/strings/ascii.h"
#include "engine/bundle/mapped_file.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/whisper/log_mel.h"
#include "engine/torch/weights.h"
#include "engine/torch/whisper/encoder.h"
#include "engine/torch/whisper/load.h"
#include "engine/torch/whisper/networks.h"
#include "engine/whisper/draft.h"
#include "engine/whisper/parts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/wav.h"

namespace parley::engine::whisper {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string TowerPath() {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  return std::string(folder != nullptr ? folder : "") + "/audio_tower";
}

absl::StatusOr<std::unique_ptr<Whisper>> LoadWhisper(const std::string& language,
                                                     Arithmetic arithmetic = Arithmetic::kFp32) {
  const auto weights = bundle::Safetensors::OpenFolder(TowerPath());
  if (!weights.ok()) return weights.status();
  const auto config = bundle::ReadTextFile(TowerPath() + "/config.json");
  if (!config.ok()) return config.status();
  const auto json = bundle::ReadTextFile(TowerPath() + "/tokenizer.json");
  if (!json.ok()) return json.status();
  auto data = bundle::TokenizerFromJson(*json, "tokenizer.json");
  if (!data.ok()) return data.status();
  auto tokenizer = text::Tokenizer::Create(*std::move(data));
  if (!tokenizer.ok()) return tokenizer.status();
  return whisper::LoadWhisper(*weights, *config, *std::move(tokenizer), language, arithmetic, /*threads=*/2);
}

// Loaded once: it takes seconds.
const Whisper& English() {
  static const auto* whisper = new absl::StatusOr<std::unique_ptr<Whisper>>(LoadWhisper("en"));
  EXPECT_TRUE(whisper->ok()) << whisper->status();
  if (!whisper->ok()) std::abort();
  return ***whisper;
}

// [80, frames]
at::Tensor LogMelOf(const std::vector<float>& samples) {
  std::vector<float> frames = cpu::LogMel(80).Compute(samples);
  return at::from_blob(frames.data(), {cpu::LogMel::Frames(samples), 80}, at::kFloat).t().contiguous();
}

at::Tensor EncodeInFp32(const std::vector<float>& samples) {
  const c10::InferenceMode inference;
  const auto weights = bundle::Safetensors::OpenFolder(TowerPath());
  EXPECT_TRUE(weights.ok()) << weights.status();
  WeightReader reader(&*weights);
  const Encoder encoder(&reader, English().parts().config, Arithmetic::kFp32);
  at::Tensor x = encoder.Begin(LogMelOf(samples));
  for (int layer = 0; layer < encoder.layers(); ++layer) x = encoder.Layer(layer, x);
  return encoder.End(x);
}

// Every `step`th position's first 32 values against a reference that holds just those.
void ExpectEncoding(const at::Tensor& encoded, int step, const std::vector<float>& expected) {
  ASSERT_EQ(expected.size(), static_cast<size_t>((encoded.size(0) + step - 1) / step) * 32);
  const auto values = encoded.accessor<float, 2>();
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(values[static_cast<int64_t>(i / 32) * step][i % 32], expected[i], 1e-3) << "value " << i;
  }
}

struct Written {
  std::string text;
  int slices = 0;
  int early_tokens = 0;
  std::shared_ptr<const TranscriptDraft> draft;
  // Of all windows.
  std::vector<TokenId> tokens() const {
    std::vector<TokenId> all;
    for (const auto& window : static_cast<const WhisperDraft&>(*draft).windows) {
      all.insert(all.end(), window.written.begin(), window.written.end());
    }
    return all;
  }
};

Written Write(const Whisper& whisper, std::vector<float> samples,
              std::shared_ptr<const TranscriptDraft> draft = nullptr) {
  const auto transcription = whisper.StartTranscription(std::move(samples), std::move(draft));
  for (int i = 1; i < 1000; ++i) {
    const absl::StatusOr<bool> done = transcription->Advance();
    EXPECT_TRUE(done.ok()) << done.status();
    if (!done.ok()) break;
    if (*done) {
      const Transcription::Result& result = transcription->result();
      const Written written = {result.text, i, result.early_tokens, transcription->draft()};
      EXPECT_EQ(result.tokens, static_cast<int>(written.tokens().size()));
      return written;
    }
  }
  ADD_FAILURE() << "the transcription does not end";
  return {"", 0, 0, std::make_shared<WhisperDraft>()};
}

std::string Transcribe(const Whisper& whisper, std::vector<float> samples) {
  return Write(whisper, std::move(samples)).text;
}

// Clips one after the other, each with so much silence after it.
std::vector<float> Sentences(const std::vector<std::string>& clips, int silence) {
  std::vector<float> samples;
  for (const std::string& clip : clips) {
    for (const float sample : parley::testing::ReadClip(clip)) samples.push_back(sample);
    samples.resize(samples.size() + silence);
  }
  return samples;
}

std::vector<float> Begin(const std::vector<float>& samples, double share) {
  return {samples.begin(), samples.begin() + static_cast<ptrdiff_t>(share * samples.size())};
}

std::map<std::string, std::string> ReferenceTranscripts() {
  std::map<std::string, std::string> transcripts;
  std::ifstream file(parley::testing::ReferencePath("whisper_transcripts.txt"));
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    transcripts[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return transcripts;
}

TEST(Whisper, LogMelIsTheReferences) {
  const std::vector<float> expected = parley::testing::ReadFloats("whisper_log_mel.f32");
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize(30 * kSampleRateHz);
  const at::Tensor log_mel = LogMelOf(samples);
  ASSERT_THAT(log_mel.sizes(), ElementsAre(80, 3000));
  ASSERT_EQ(expected.size(), 80u * 96);
  const auto values = log_mel.accessor<float, 2>();
  for (int i = 0; i < 80 * 96; ++i) ASSERT_NEAR(values[i / 96][i % 96], expected[i], 1e-4) << "value " << i;
}

TEST(Whisper, TrimmedAudioHasTheLogMelOfTheFullWindow) {
  std::vector<float> samples = parley::testing::ReadClip("rms_book");
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  const at::Tensor trimmed = LogMelOf(samples);
  samples.resize(30 * kSampleRateHz);
  const at::Tensor full = LogMelOf(samples).narrow(1, 0, trimmed.size(1));
  EXPECT_LT((trimmed - full).abs().max().item<float>(), 1e-6);
}

TEST(Whisper, EncodingOfAFullWindowIsTheReferences) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize(30 * kSampleRateHz);
  ExpectEncoding(EncodeInFp32(samples), 50, parley::testing::ReadFloats("whisper_encoder_full.f32"));
}

TEST(Whisper, EncodingOfTrimmedAudioIsTheReferencesWithTruncatedPositions) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  ExpectEncoding(EncodeInFp32(samples), 10, parley::testing::ReadFloats("whisper_encoder_trimmed.f32"));
}

TEST(Whisper, TranscribesEveryClipAsTheReferenceDoesOnTheFullWindow) {
  const auto transcripts = ReferenceTranscripts();
  ASSERT_EQ(transcripts.size(), 8u);
  for (const auto& [clip, expected] : transcripts) {
    EXPECT_EQ(Transcribe(English(), parley::testing::ReadClip(clip)), expected) << clip;
  }
}

TEST(Whisper, WritesTheSameInIntegers) {
  for (Arithmetic arithmetic : {Arithmetic::kInt8, Arithmetic::kInt16}) {
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    for (const auto& [clip, expected] : ReferenceTranscripts()) {
      EXPECT_EQ(Transcribe(**whisper, parley::testing::ReadClip(clip)), expected) << clip;
    }
  }
}

// The clip's window after its encoding has ended.
std::unique_ptr<Networks::Window> EncodedWindow(const Whisper& whisper, const std::string& clip) {
  std::vector<float> samples = parley::testing::ReadClip(clip);
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  Networks& networks = *whisper.parts().networks;
  auto window = networks.Begin(samples);
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

TEST(Whisper, ScoresInIntegersWhatFp32Does) {
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

TEST(Whisper, AWindowsScoresAreTheSameBitsAloneAndBesideOthers) {
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

TEST(Whisper, SeveralUtterancesWrittenTogetherAreThoseWrittenAlone) {
  const auto whisper = LoadWhisper("auto", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  const auto transcripts = ReferenceTranscripts();
  std::vector<std::unique_ptr<Transcription>> all;
  for (const auto& [clip, text] : transcripts) {
    all.push_back((*whisper)->StartTranscription(parley::testing::ReadClip(clip)));
    while (!all.back()->joins()) ASSERT_TRUE(all.back()->Advance().ok());
  }
  std::vector<Transcription*> writing;
  for (const auto& each : all) writing.push_back(each.get());
  while (!writing.empty()) {
    const auto done = (*whisper)->AdvanceTogether(writing);
    ASSERT_EQ(done.size(), writing.size());
    for (size_t i = done.size(); i-- > 0;) {
      ASSERT_TRUE(done[i].ok()) << done[i].status();
      if (*done[i]) writing.erase(writing.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  auto transcription = all.begin();
  for (const auto& [clip, text] : transcripts) EXPECT_EQ((*transcription++)->result().text, text) << clip;
}

TEST(Whisper, TheEndpointersSilenceAtBothEndsChangesNothing) {
  std::vector<float> samples(4800, 0.0f);
  for (const float sample : parley::testing::ReadClip("slt_spider")) samples.push_back(sample);
  samples.resize(samples.size() + 8000);
  EXPECT_EQ(Transcribe(English(), samples), "How many legs does a spider have?");
}

TEST(Whisper, AnUtteranceOfSeveralSentencesIsWrittenToItsEnd) {
  const std::string text =
      Transcribe(English(), Sentences({"slt_weather", "slt_capital", "slt_spider", "slt_breakfast"}, 6400));
  EXPECT_THAT(text, HasSubstr("weather today"));
  EXPECT_THAT(text, HasSubstr("capital of France"));
  EXPECT_THAT(text, HasSubstr("a spider have"));
  EXPECT_THAT(text, ::testing::EndsWith("What did you have?"));
}

// All clips twice: more than a window holds.
std::vector<float> LongSpeech() {
  std::vector<std::string> clips;
  for (int round = 0; round < 2; ++round) {
    for (const auto& [clip, text] : ReferenceTranscripts()) clips.push_back(clip);
  }
  const std::vector<float> samples = Sentences(clips, 4800);
  EXPECT_GT(samples.size(), 35u * kSampleRateHz);
  return samples;
}

TEST(Whisper, AnUtteranceOfMoreThanThirtySecondsIsWrittenInWindows) {
  const auto [text, slices, early, draft] = Write(English(), LongSpeech());
  EXPECT_GT(slices, 10) << "long audio has to be encoded in bounded slices";
  for (const char* words : {"capital of France", "spider", "weather", "breakfast", "sky", "animal", "book"}) {
    const size_t first = text.find(words);
    ASSERT_NE(first, std::string::npos) << words << " in " << text;
    EXPECT_NE(text.find(words, first + 1), std::string::npos) << words << " twice in " << text;
  }
}

int CountOf(const std::string& words, const std::string& text) {
  int count = 0;
  const std::string lower = absl::AsciiStrToLower(text);
  for (size_t at = lower.find(words); at != std::string::npos; at = lower.find(words, at + words.size()))
    ++count;
  return count;
}

TEST(Whisper, NothingIsLostAfterAWordThatIsSaidSeveralTimes) {
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8}) {
    SCOPED_TRACE(ArithmeticName(arithmetic));
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    const std::string hello = Transcribe(**whisper, parley::testing::ReadCase("repeated_hello"));
    EXPECT_GE(CountOf("hello", hello), 5) << hello;
    EXPECT_THAT(hello, HasSubstr("hat is the capital of France?"));
    const std::string row = Transcribe(**whisper, parley::testing::ReadCase("row_your_boat"));
    EXPECT_EQ(CountOf("row", row), 3) << row;
    EXPECT_EQ(CountOf("merrily", row), 4) << row;
    EXPECT_THAT(row, HasSubstr("life is but a dream"));
  }
}

TEST(Whisper, AShortWordIsNotWrittenMoreOftenThanItFitsIntoItsTime) {
  const std::vector<float> stop = parley::testing::ReadCase("stop");
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8}) {
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    EXPECT_EQ(CountOf("stop", Transcribe(**whisper, stop)), 1) << ArithmeticName(arithmetic);
  }
}

TEST(Whisper, IsLessSureOfWordsInAHumThanOfWords) {
  const auto sureness = [](std::vector<float> samples) {
    const auto transcription = English().StartTranscription(std::move(samples));
    transcription->MeasureConfidence();
    while (!*transcription->Advance()) {
    }
    return transcription->result().mean_log_probability;
  };
  EXPECT_LT(sureness(parley::testing::ReadCase("backchannel_mhm")), -1.1);
  EXPECT_GT(sureness(parley::testing::ReadCase("repeated_hello")), -1.1);
  EXPECT_GT(sureness(parley::testing::ReadClip("slt_capital")), -0.5);
}

TEST(Whisper, ASentenceThatIsSaidTwiceIsWrittenTwice) {
  const std::vector<float> samples = parley::testing::ReadCase("said_twice");
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    SCOPED_TRACE(ArithmeticName(arithmetic));
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    const Written plain = Write(**whisper, samples);
    EXPECT_EQ(CountOf("can you hear me", plain.text), 2) << plain.text;
    EXPECT_THAT(plain.text, HasSubstr("What is the capital of France?"));
    for (const auto& draft : {plain.draft, Write(**whisper, Begin(samples, 0.6)).draft}) {
      const Written again = Write(**whisper, samples, draft);
      EXPECT_EQ(again.tokens(), plain.tokens());
      EXPECT_EQ(again.text, plain.text);
    }
  }
}

TEST(Whisper, ASentenceThatIsSaidTwiceInALongUtteranceIsWrittenTheSameFromADraft) {
  const auto whisper = LoadWhisper("en", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  std::vector<float> samples = parley::testing::ReadCase("said_twice");
  const std::vector<float> more = LongSpeech();
  samples.insert(samples.end(), more.begin(), more.end());
  const Written plain = Write(**whisper, samples);
  const Written beginning =
      Write(**whisper, std::vector<float>(samples.begin(), samples.begin() + 34 * kSampleRateHz));
  for (const auto& draft : {plain.draft, beginning.draft}) {
    const Written again = Write(**whisper, samples, draft);
    EXPECT_EQ(again.tokens(), plain.tokens());
    EXPECT_EQ(again.text, plain.text);
    EXPECT_LT(again.slices, plain.slices);
  }
}

TEST(Whisper, ACoughAfterASentenceAddsNoWords) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  const std::vector<float> coughs = parley::testing::ReadCase("coughs");
  samples.insert(samples.end(), coughs.begin() + 10000, coughs.begin() + 40000);
  EXPECT_EQ(Transcribe(English(), samples), "What is the capital of France?");
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

TEST(Whisper, AlignmentIsTheSameBitsOneByOneAndTogetherAndLibTorchsToFourPlaces) {
  std::vector<TokenId> tokens = EnglishPrompt();
  const std::vector<TokenId> written = Write(English(), parley::testing::ReadClip("slt_capital")).tokens();
  tokens.insert(tokens.end(), written.begin(), written.end());
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
  const auto weights = bundle::Safetensors::OpenFolder(TowerPath());
  ASSERT_TRUE(weights.ok()) << weights.status();
  auto networks = LoadTorchNetworks(*weights, English().parts().config, Arithmetic::kFp32);
  ASSERT_TRUE(networks.ok()) << networks.status();
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  samples.resize((samples.size() + kSampleRateHz + 319) / 320 * 320);
  auto window = (*networks)->Begin(samples);
  ASSERT_TRUE(window.ok()) << window.status();
  for (int i = 0; i < English().parts().config.encoder_layers; ++i) {
    ASSERT_TRUE((*networks)->EncodeLayer(**window).ok());
  }
  ASSERT_TRUE((*networks)->EndEncoding(**window).ok());
  const std::vector<float> torch = AlignmentOf(**networks, **window, tokens, 1);
  ASSERT_EQ(torch.size(), exact.size());
  for (size_t i = 0; i < torch.size(); ++i) ASSERT_NEAR(torch[i], exact[i], 1e-4) << i;
}

TEST(Whisper, ALoopOfTheDecoderEndsAndWhatWasSaidAfterItIsWritten) {
  const std::string text = Transcribe(English(), parley::testing::ReadCase("laughter_spoken"));
  EXPECT_GE(CountOf("ha ", text), 8) << text;
  EXPECT_THAT(text, HasSubstr("that is very funny"));
  EXPECT_THAT(text, HasSubstr("tell me another joke"));
}

TEST(Whisper, RowsRunTogetherHaveTheScoresOfRowsRunOneByOneAndCanBeTakenBack) {
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

TEST(Whisper, WhateverTheDraftTheSameTokensAreWritten) {
  const std::vector<float> samples =
      Sentences({"slt_weather", "slt_capital", "slt_spider", "slt_breakfast"}, 6400);
  for (Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    SCOPED_TRACE(ArithmeticName(arithmetic));
    const auto whisper = LoadWhisper("en", arithmetic);
    ASSERT_TRUE(whisper.ok()) << whisper.status();
    const Written plain = Write(**whisper, samples);
    const std::vector<TokenId> tokens = plain.tokens();
    ASSERT_GT(tokens.size(), 30u);
    auto nonsense = std::make_shared<WhisperDraft>();
    for (size_t i = 0; i < 100; ++i) {
      nonsense->windows.resize(1);
      nonsense->windows[0].written.push_back(i % 3 == 0 ? tokens[i / 3 % tokens.size()]
                                                        : static_cast<TokenId>(i * 7919 % 51'865));
    }
    const std::pair<const char*, std::shared_ptr<const TranscriptDraft>> drafts[] = {
        {"its own", plain.draft},
        {"most of it", Write(**whisper, Begin(samples, 0.8)).draft},
        {"a third of it", Write(**whisper, Begin(samples, 0.35)).draft},
        {"another clip", Write(**whisper, parley::testing::ReadClip("rms_book")).draft},
        {"nonsense", nonsense},
    };
    for (const auto& [name, draft] : drafts) {
      const Written written = Write(**whisper, samples, draft);
      EXPECT_EQ(written.tokens(), tokens) << name;
      EXPECT_EQ(written.text, plain.text) << name;
    }
    const Written again = Write(**whisper, samples, plain.draft);
    EXPECT_LT(again.slices, plain.slices - 4) << "nothing was saved";
    EXPECT_EQ(plain.early_tokens, 0);
    EXPECT_EQ(again.early_tokens, static_cast<int>(tokens.size()));
  }
}

TEST(Whisper, AFullWindowThatWasWrittenIsNotWrittenAgain) {
  const auto whisper = LoadWhisper("en", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  std::vector<float> samples = LongSpeech();
  const Written plain = Write(**whisper, samples);
  const Written beginning =
      Write(**whisper, std::vector<float>(samples.begin(), samples.begin() + 31 * kSampleRateHz));
  const Written rest = Write(**whisper, samples, beginning.draft);
  EXPECT_EQ(rest.tokens(), plain.tokens());
  EXPECT_EQ(rest.text, plain.text);
  EXPECT_LT(rest.slices, plain.slices / 2);
  // Of other audio it is none.
  samples[kSampleRateHz] += 0.01f;
  const Written other = Write(**whisper, samples, beginning.draft);
  EXPECT_EQ(other.tokens(), Write(**whisper, samples).tokens());
  EXPECT_GT(other.slices, rest.slices);
}

TEST(Whisper, ATranscriptionThatIsStoppedLeavesWhatItHas) {
  const auto whisper = LoadWhisper("en", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  const std::vector<float> samples = Sentences({"slt_weather", "slt_capital", "slt_spider"}, 6400);
  const Written plain = Write(**whisper, samples);
  const auto stopped = (*whisper)->StartTranscription(samples);
  for (int i = 0; i < plain.slices - 2; ++i) ASSERT_TRUE(stopped->Advance().ok());
  const Written rest = Write(**whisper, samples, stopped->draft());
  EXPECT_EQ(rest.tokens(), plain.tokens());
  EXPECT_LT(rest.slices, plain.slices);
  // Stopped before it wrote anything it has what it was given.
  const auto at_once = (*whisper)->StartTranscription(samples, plain.draft);
  ASSERT_TRUE(at_once->Advance().ok());
  EXPECT_EQ(at_once->draft(), plain.draft);
}

TEST(Whisper, SilenceAndTooLittleAudioGiveNoWords) {
  EXPECT_EQ(Transcribe(English(), {}), "");
  EXPECT_EQ(Transcribe(English(), std::vector<float>(500, 0.1f)), "");
  EXPECT_EQ(Transcribe(English(), std::vector<float>(2 * kSampleRateHz, 0.0f)), "");
}

TEST(Whisper, DetectsTheLanguageWhenNoneIsGiven) {
  const auto whisper = LoadWhisper("auto");
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  const auto transcription = (*whisper)->StartTranscription(parley::testing::ReadClip("slt_capital"));
  while (true) {
    const auto done = transcription->Advance();
    ASSERT_TRUE(done.ok()) << done.status();
    if (*done) break;
  }
  EXPECT_EQ(transcription->result().language, "en");
  EXPECT_EQ(transcription->result().text, "What is the capital of France?");
}

TEST(Whisper, NamesALanguageItDoesNotKnow) {
  EXPECT_THAT(LoadWhisper("tlh").status().message(), HasSubstr("'tlh'"));
}

}  // namespace
}  // namespace parley::engine::whisper

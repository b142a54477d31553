// What Whisper writes: words, whatever the length, the arithmetic and the draft.
#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "tests/cpu/whisper_fixture.h"

namespace parley::engine::whisper {
namespace {

using ::testing::HasSubstr;

std::vector<float> Begin(const std::vector<float>& samples, double share) {
  return {samples.begin(), samples.begin() + static_cast<ptrdiff_t>(share * samples.size())};
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

TEST(Whisper, SeveralUtterancesWrittenTogetherAreThoseWrittenAlone) {
  const auto whisper = LoadWhisper("auto", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  const auto transcripts = ReferenceTranscripts();
  std::vector<std::unique_ptr<Encoding>> all;
  for (const auto& [clip, text] : transcripts) {
    all.push_back(*(*whisper)->Start({.samples = parley::testing::ReadClip(clip)}));
    while (!all.back()->batchable()) ASSERT_TRUE(AdvanceAlone(**whisper, *all.back()).ok());
  }
  std::vector<Encoding*> writing;
  for (const auto& each : all) writing.push_back(each.get());
  while (!writing.empty()) {
    const auto done = (*whisper)->Advance(writing);
    ASSERT_EQ(done.size(), writing.size());
    for (size_t i = done.size(); i-- > 0;) {
      ASSERT_TRUE(done[i].ok()) << done[i].status();
      if (*done[i]) writing.erase(writing.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  auto encoding = all.begin();
  for (const auto& [clip, text] : transcripts) EXPECT_EQ((*encoding++)->Take().transcript.text, text) << clip;
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
    EXPECT_GE(CountOf("ro", row), 3) << row;
    EXPECT_EQ(CountOf("merrily", row), 4) << row;
    EXPECT_EQ(CountOf("life is but a dream", row), 1) << row;
    const std::string twice = Transcribe(**whisper, parley::testing::ReadCase("row_twice"));
    EXPECT_EQ(CountOf("gently", twice), 2) << twice;
    EXPECT_EQ(CountOf("stream", twice), 2) << twice;
    const std::string ten = Transcribe(**whisper, parley::testing::ReadCase("ten_times"));
    EXPECT_EQ(CountOf("11", ten), 1) << ten;
    EXPECT_EQ(CountOf("12", ten), 1) << ten;
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
    const auto encoding = *English().Start({.samples = std::move(samples), .measure_confidence = true});
    return Encode(English(), *encoding).transcript.mean_log_probability;
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

TEST(Whisper, AWindowThatIsWrittenAnewGivesTheSameFromAnyDraft) {
  const std::vector<float> samples = parley::testing::ReadCase("row_twice");
  const Written plain = Write(English(), samples);
  for (const auto& draft : {plain.draft, Write(English(), Begin(samples, 0.5)).draft}) {
    const Written again = Write(English(), samples, draft);
    EXPECT_EQ(again.text, plain.text);
    EXPECT_EQ(again.tokens(), plain.tokens());
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
    EXPECT_LT(again.passes, plain.passes);
  }
}

TEST(Whisper, ACoughAfterASentenceAddsNoWords) {
  std::vector<float> samples = parley::testing::ReadClip("slt_capital");
  const std::vector<float> coughs = parley::testing::ReadCase("coughs");
  samples.insert(samples.end(), coughs.begin() + 10000, coughs.begin() + 40000);
  EXPECT_EQ(Transcribe(English(), samples), "What is the capital of France?");
}

TEST(Whisper, ALoopOfTheDecoderEndsAndWhatWasSaidAfterItIsWritten) {
  const std::string text = Transcribe(English(), parley::testing::ReadCase("laughter_spoken"));
  EXPECT_GE(CountOf("ha ", text), 8) << text;
  EXPECT_EQ(CountOf("that is very funny", text), 1) << text;
  EXPECT_EQ(CountOf("tell me another joke", text), 1) << text;
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
    const std::pair<const char*, std::shared_ptr<const SpeechDraft>> drafts[] = {
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
    EXPECT_LT(again.passes, plain.passes - 4) << "nothing was saved";
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
  EXPECT_LT(rest.passes, plain.passes / 2);
  // Of other audio it is none.
  samples[kSampleRateHz] += 0.01f;
  const Written other = Write(**whisper, samples, beginning.draft);
  EXPECT_EQ(other.tokens(), Write(**whisper, samples).tokens());
  EXPECT_GT(other.passes, rest.passes);
}

TEST(Whisper, ATranscriptionThatIsStoppedLeavesWhatItHas) {
  const auto whisper = LoadWhisper("en", Arithmetic::kInt16);
  ASSERT_TRUE(whisper.ok()) << whisper.status();
  const std::vector<float> samples = Sentences({"slt_weather", "slt_capital", "slt_spider"}, 6400);
  const Written plain = Write(**whisper, samples);
  const auto stopped = *(*whisper)->Start({.samples = samples});
  for (int i = 0; i < plain.passes - 2; ++i) ASSERT_TRUE(AdvanceAlone(**whisper, *stopped).ok());
  const Written rest = Write(**whisper, samples, stopped->draft());
  EXPECT_EQ(rest.tokens(), plain.tokens());
  EXPECT_LT(rest.passes, plain.passes);
  // Stopped before it wrote anything it has what it was given.
  const auto at_once = *(*whisper)->Start({.samples = samples, .draft = plain.draft});
  ASSERT_TRUE(AdvanceAlone(**whisper, *at_once).ok());
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
  const auto encoding = *(*whisper)->Start({.samples = parley::testing::ReadClip("slt_capital")});
  const Encoded encoded = Encode(**whisper, *encoding);
  EXPECT_TRUE(encoded.heard);
  EXPECT_EQ(std::get<std::string>(encoded.part), "What is the capital of France?");
  EXPECT_EQ(encoded.transcript.language, "en");
  EXPECT_EQ(encoded.transcript.text, "What is the capital of France?");
}

TEST(Whisper, NamesALanguageItDoesNotKnow) {
  EXPECT_THAT(LoadWhisper("tlh").status().message(), HasSubstr("'tlh'"));
}

}  // namespace
}  // namespace parley::engine::whisper

// Whisper base on its real weights, and what it writes.
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/bundle/mapped_file.h"
#include "engine/bundle/tokenizer_files.h"
#include "engine/cpu/whisper/networks.h"
#include "engine/whisper/config.h"
#include "engine/whisper/draft.h"
#include "engine/whisper/parts.h"
#include "gtest/gtest.h"
#include "tests/model/encodings.h"
#include "tests/reference/wav.h"

namespace parley::engine::whisper {

inline std::string EncoderPath() {
  const char* folder = std::getenv("PARLEY_MODEL_DIR");
  return std::string(folder != nullptr ? folder : "") + "/audio_encoder";
}

inline absl::StatusOr<std::unique_ptr<Whisper>> LoadWhisper(const std::string& language,
                                                            Arithmetic arithmetic = Arithmetic::kFp32) {
  const auto weights = bundle::Safetensors::OpenFolder(EncoderPath());
  if (!weights.ok()) return weights.status();
  const auto config = bundle::ReadTextFile(EncoderPath() + "/config.json");
  if (!config.ok()) return config.status();
  const auto json = bundle::ReadTextFile(EncoderPath() + "/tokenizer.json");
  if (!json.ok()) return json.status();
  auto data = bundle::TokenizerFromJson(*json, "tokenizer.json");
  if (!data.ok()) return data.status();
  auto tokenizer = text::Tokenizer::Create(*std::move(data));
  if (!tokenizer.ok()) return tokenizer.status();
  const auto parsed = ParseConfig(*config);
  if (!parsed.ok()) return parsed.status();
  auto networks = cpu::LoadWhisperNetworks(*weights, *parsed, arithmetic, /*threads=*/2);
  if (!networks.ok()) return networks.status();
  return Whisper::Create(*parsed, *std::move(tokenizer), language, *std::move(networks));
}

// Loaded once: it takes seconds.
inline Whisper& English() {
  static auto* const whisper = new absl::StatusOr<std::unique_ptr<Whisper>>(LoadWhisper("en"));
  EXPECT_TRUE(whisper->ok()) << whisper->status();
  if (!whisper->ok()) std::abort();
  return ***whisper;
}

struct Written {
  std::string text;
  int passes = 0;
  int early_tokens = 0;
  std::shared_ptr<const SpeechDraft> draft;
  // Of all windows.
  std::vector<TokenId> tokens() const {
    std::vector<TokenId> all;
    for (const auto& window : static_cast<const WhisperDraft&>(*draft).windows) {
      all.insert(all.end(), window.written.begin(), window.written.end());
    }
    return all;
  }
};

inline Written Write(Whisper& whisper, std::vector<float> samples,
                     std::shared_ptr<const SpeechDraft> draft = nullptr) {
  const auto encoding = *whisper.Start({.samples = std::move(samples), .draft = std::move(draft)});
  for (int i = 1; i < 1000; ++i) {
    const absl::StatusOr<bool> done = AdvanceAlone(whisper, *encoding);
    EXPECT_TRUE(done.ok()) << done.status();
    if (!done.ok()) break;
    if (*done) {
      const Transcript transcript = encoding->Take().transcript;
      const Written written = {transcript.text, i, transcript.early_tokens, encoding->draft()};
      EXPECT_EQ(transcript.tokens, static_cast<int>(written.tokens().size()));
      return written;
    }
  }
  ADD_FAILURE() << "the transcription does not end";
  return {"", 0, 0, std::make_shared<WhisperDraft>()};
}

inline std::string Transcribe(Whisper& whisper, std::vector<float> samples) {
  return Write(whisper, std::move(samples)).text;
}

// Clips one after the other, each with so much silence after it.
inline std::vector<float> Sentences(const std::vector<std::string>& clips, int silence) {
  std::vector<float> samples;
  for (const std::string& clip : clips) {
    for (const float sample : parley::testing::ReadClip(clip)) samples.push_back(sample);
    samples.resize(samples.size() + silence);
  }
  return samples;
}

inline std::map<std::string, std::string> ReferenceTranscripts() {
  std::map<std::string, std::string> transcripts;
  std::ifstream file(parley::testing::ReferencePath("whisper_transcripts.txt"));
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    transcripts[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return transcripts;
}

}  // namespace parley::engine::whisper

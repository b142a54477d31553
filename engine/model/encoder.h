// What turns speech or a picture into a part of the prompt, in passes of bounded length, so that nobody's
// tokens wait for a long input. Implemented by engine/whisper, engine/cpu and engine/fake.
//
// Everything here is called by the runtime's model thread only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/api/media.h"
#include "engine/model/part.h"

namespace parley::engine {

// What was made of an utterance that has grown since; of the encoder that made it.
class SpeechDraft {
 public:
  virtual ~SpeechDraft() = default;
};

// Words that an encoder wrote down.
struct Transcript {
  std::string text;
  std::string language;             // ISO 639-1
  int tokens = 0;                   // of the encoder's, timestamps too
  int early_tokens = 0;             // of these, what the draft had
  double mean_log_probability = 0;  // of the words' tokens, where it was asked for
};

// What an encoder made of one input.
struct Encoded {
  Part part;              // what enters the prompt
  bool heard = false;     // of speech: somebody said something in it
  Transcript transcript;  // of speech; empty where none is written
};

// One input on its way through an encoder, which must outlive it.
class Encoding {
 public:
  virtual ~Encoding() = default;
  // Whether its next pass takes little longer together with the next passes of others.
  virtual bool batchable() const = 0;
  // What there is so far, done or not; null: nothing, or no speech.
  virtual std::shared_ptr<const SpeechDraft> draft() const { return nullptr; }
  // REQUIRES: Advance returned true for it. Once.
  virtual Encoded Take() = 0;
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  // For EngineInfo: "Whisper base".
  virtual std::string name() const = 0;
  // One pass of each of its encodings: some layers, or a few tokens. True: that one is done. What one gives
  // does not depend on the others, and an error is one's own.
  // REQUIRES: they are all different and not done, and each is batchable() or the only one.
  virtual std::vector<absl::StatusOr<bool>> Advance(absl::Span<Encoding* const> encodings) = 0;
};

struct SpeechInput {
  std::vector<float> samples;  // one utterance, mono, kSampleRateHz, any length
  // Of audio that the samples begin with, or null. It makes the encoding faster and changes nothing else; one
  // of other audio only makes it slower.
  std::shared_ptr<const SpeechDraft> draft;
  bool measure_confidence = false;  // asks for Transcript::mean_log_probability, which costs a little
};

class SpeechEncoder : public Encoder {
 public:
  virtual absl::StatusOr<std::unique_ptr<Encoding>> Start(SpeechInput input) = 0;
};

class FrameEncoder : public Encoder {
 public:
  // `image`: upright, not empty.
  virtual absl::StatusOr<std::unique_ptr<Encoding>> Start(ImagePtr image) = 0;
};

}  // namespace parley::engine

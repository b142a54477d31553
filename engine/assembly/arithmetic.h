// Which arithmetic the parts of a bundle run in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/model/arithmetic.h"

namespace parley::engine::assembly {

struct ArithmeticChoice {
  Arithmetic language_model = Arithmetic::kFp32;
  Arithmetic speech_encoder = Arithmetic::kFp32;
  std::string description;  // for EngineInfo: "int16, speech in int8 (on avx2)", "fp32 (as asked)"
};

// `asked`: a name, for both, or "auto": on "cpu" integers where this processor has kernels for them, else
// fp32. Integers are several times faster. The language model gets int16, which says what fp32 says: int8 is
// faster still, but where two words are nearly as likely it takes the other, and parley-small begins the
// capital of France with "L'Étoile". Whisper gets int8: its weights are rounded to 8 bits as well, and how
// its transcripts differ from those of fp32 is how those of int16 do. INVALID_ARGUMENT for another name.
absl::StatusOr<ArithmeticChoice> ChooseArithmetic(absl::string_view asked, absl::string_view device = "cpu");

}  // namespace parley::engine::assembly

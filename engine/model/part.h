// A part of a prompt, as an encoder gives it: words, or features that take the places of tokens.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "engine/model/device.h"

namespace parley::engine {

// Hidden states that enter the language model where the embeddings of tokens would. Immutable, and shared by
// whoever holds it.
struct Features {
  std::shared_ptr<const float> values;  // [rows, hidden], dense; keeps its memory alive
  int rows = 0;
  int hidden = 0;
  Device device;  // where the values lie
};

using Part = std::variant<std::string, Features>;

}  // namespace parley::engine

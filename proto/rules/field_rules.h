// The rules that parley.proto states at its fields (parley/v1/field_rules.proto), read from the descriptors:
// ranges to check, ranges in words, defaults. Pure functions; thread-safe. They read messages by reflection:
// for configurations and command lines, not for what comes many times a second (a caller there keeps what
// RulesOf gave).
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "parley/v1/field_rules.pb.h"

namespace parley::rules {

// Of a field without any, empty ones. They live as long as the program.
const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);

// "100 to 5000", "more than 0, up to 1", "1 to 1000, or 0 (all)", "0, 90, 180 or 270". Empty: any value.
std::string RangeText(const v1::FieldRules& rules);
// "0.5", "true", "VAD". Empty: none is stated.
std::string DefaultText(const v1::FieldRules& rules);

// What is wrong with a number, called `path`, by rules that need not be its field's own:
// "turn.silence_ms is 1 ms; it takes 100 to 5000 ms". `is_float`: bounds are rounded to float, as the value
// was.
std::optional<std::string> NumberFault(const v1::FieldRules& rules, absl::string_view path, double value,
                                       bool is_float = false);

// What is wrong with the first field of `message`, in the order of their numbers and submessages included,
// that is set against its rules. Fields are called by their path from it.
std::optional<std::string> FirstFault(const google::protobuf::Message& message);

// Sets the fields of `message` that are unset and have a default, in the submessages that are set, too.
void FillDefaults(google::protobuf::Message& message);

}  // namespace parley::rules

#include "proto/rules/field_rules.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"

namespace parley::rules {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using v1::FieldRules;

// Whole numbers with all their digits: 86400000, not 8.64e+07.
std::string NumberText(double value) {
  constexpr double kExact = 9007199254740992;  // 2^53: from here on not every whole number is a double
  if (std::abs(value) < kExact && value == std::trunc(value))
    return absl::StrCat(static_cast<int64_t>(value));
  return absl::StrCat(value);
}

// "1 to 64", "at least 1", "at most 64"; empty without either.
std::string Bounds(const std::optional<double>& low, const std::optional<double>& high) {
  if (low.has_value() && high.has_value()) return absl::StrCat(NumberText(*low), " to ", NumberText(*high));
  if (low.has_value()) return absl::StrCat("at least ", NumberText(*low));
  if (high.has_value()) return absl::StrCat("at most ", NumberText(*high));
  return "";
}

// The range in words with `unit` behind each part of it that is complete in itself.
std::string RangeWithUnit(const FieldRules& rules, absl::string_view unit) {
  std::string text;
  const std::optional<double> maximum =
      rules.has_maximum() ? std::optional<double>(rules.maximum()) : std::nullopt;
  if (rules.values_size() > 0) {
    for (int i = 0; i < rules.values_size(); ++i) {
      if (i > 0) absl::StrAppend(&text, i + 1 < rules.values_size() ? ", " : " or ");
      absl::StrAppend(&text, NumberText(rules.values(i)));
    }
  } else if (rules.has_exclusive_minimum()) {
    text = absl::StrCat("more than ", NumberText(rules.exclusive_minimum()));
    if (maximum.has_value()) absl::StrAppend(&text, ", up to ", NumberText(*maximum));
  } else {
    text = Bounds(rules.has_minimum() ? std::optional<double>(rules.minimum()) : std::nullopt, maximum);
  }
  if (!text.empty()) absl::StrAppend(&text, unit);
  if (!rules.zero_means().empty()) absl::StrAppend(&text, ", or 0 (", rules.zero_means(), ")");
  return text;
}

// Written so that NaN is in no range. An infinite value is outside of whatever has a maximum.
bool InRange(const FieldRules& rules, double value, bool is_float) {
  const auto bound = [is_float](double limit) {
    return is_float ? static_cast<double>(static_cast<float>(limit)) : limit;
  };
  if (!rules.zero_means().empty() && value == 0) return true;
  if (rules.values_size() > 0) {
    for (const double allowed : rules.values()) {
      if (value == bound(allowed)) return true;
    }
    return false;
  }
  if (rules.has_minimum() && !(value >= bound(rules.minimum()))) return false;
  if (rules.has_exclusive_minimum() && !(value > bound(rules.exclusive_minimum()))) return false;
  return !rules.has_maximum() || value <= bound(rules.maximum());
}

std::optional<double> NumberOf(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.GetFloat(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    default:
      return std::nullopt;
  }
}

void SetNumber(Message& message, const FieldDescriptor& field, double value) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(&message, &field, static_cast<int32_t>(value));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(&message, &field, static_cast<int64_t>(value));
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.SetUInt32(&message, &field, static_cast<uint32_t>(value));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(&message, &field, static_cast<uint64_t>(value));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.SetFloat(&message, &field, static_cast<float>(value));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(&message, &field, value);
    default:
      return;
  }
}

// Where a message lies below the one that is checked. Its text is made only for a fault.
struct Place {
  const Place* above = nullptr;
  const FieldDescriptor* field = nullptr;  // of the message above

  std::string Name() const {
    return above == nullptr ? field->name() : absl::StrCat(above->Name(), ".", field->name());
  }
};

std::optional<std::string> SizeFault(const FieldRules& rules, const Place& place, size_t bytes) {
  if (bytes >= rules.min_bytes() && (!rules.has_max_bytes() || bytes <= rules.max_bytes()))
    return std::nullopt;
  const std::string takes =
      Bounds(rules.has_min_bytes() ? std::optional<double>(rules.min_bytes()) : std::nullopt,
             rules.has_max_bytes() ? std::optional<double>(rules.max_bytes()) : std::nullopt);
  const bool repeated = place.field->is_repeated();
  return absl::StrCat(place.Name(), repeated ? " has a string of " : " has ", bytes, " bytes; ",
                      repeated ? "each" : "it", " takes ", takes, " bytes");
}

std::optional<std::string> FirstFaultBelow(const Message& message, const Place* above);

std::optional<std::string> RepeatedFault(const Message& message, const Place& place) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& field = *place.field;
  const FieldRules& rules = RulesOf(field);
  const int size = reflection.FieldSize(message, &field);
  const bool strings = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  if (rules.has_max_items() && static_cast<uint32_t>(size) > rules.max_items()) {
    return absl::StrCat(place.Name(), " has ", size, strings ? " strings" : " values", "; it takes at most ",
                        rules.max_items());
  }
  std::string scratch;
  std::optional<std::string> fault;
  for (int i = 0; i < size && !fault.has_value(); ++i) {
    if (strings) {
      fault =
          SizeFault(rules, place, reflection.GetRepeatedStringReference(message, &field, i, &scratch).size());
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      fault = FirstFaultBelow(reflection.GetRepeatedMessage(message, &field, i), &place);
    }
  }
  return fault;
}

// Of a field that is set.
std::optional<std::string> SingularFault(const Message& message, const Place& place) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor& field = *place.field;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
    return FirstFaultBelow(reflection.GetMessage(message, &field), &place);
  const FieldRules& rules = RulesOf(field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    std::string scratch;
    return SizeFault(rules, place, reflection.GetStringReference(message, &field, &scratch).size());
  }
  const std::optional<double> number = NumberOf(message, field);
  const bool is_float = field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
  if (!number.has_value() || InRange(rules, *number, is_float)) return std::nullopt;
  return NumberFault(rules, place.Name(), *number, is_float);
}

std::optional<std::string> FirstFaultBelow(const Message& message, const Place* above) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const Place place{above, field};
    std::optional<std::string> fault =
        field->is_repeated() ? RepeatedFault(message, place) : SingularFault(message, place);
    if (fault.has_value()) return fault;
  }
  return std::nullopt;
}

void SetDefault(Message& message, const FieldDescriptor& field, const FieldRules& rules) {
  const Reflection& reflection = *message.GetReflection();
  switch (rules.default_value_case()) {
    case FieldRules::kDefaultNumber:
      return SetNumber(message, field, rules.default_number());
    case FieldRules::kDefaultBool:
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL)
        reflection.SetBool(&message, &field, rules.default_bool());
      return;
    case FieldRules::kDefaultEnum: {
      if (field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) return;
      const EnumValueDescriptor* value = field.enum_type()->FindValueByName(rules.default_enum());
      if (value != nullptr) reflection.SetEnum(&message, &field, value);
      return;
    }
    case FieldRules::DEFAULT_VALUE_NOT_SET:
      return;
  }
}

}  // namespace

const FieldRules& RulesOf(const FieldDescriptor& field) { return field.options().GetExtension(v1::rules); }

std::string RangeText(const FieldRules& rules) { return RangeWithUnit(rules, ""); }

std::string DefaultText(const FieldRules& rules) {
  switch (rules.default_value_case()) {
    case FieldRules::kDefaultNumber:
      return NumberText(rules.default_number());
    case FieldRules::kDefaultBool:
      return rules.default_bool() ? "true" : "false";
    case FieldRules::kDefaultEnum:
      return rules.default_enum();
    case FieldRules::DEFAULT_VALUE_NOT_SET:
      break;
  }
  return "";
}

std::optional<std::string> NumberFault(const FieldRules& rules, absl::string_view path, double value,
                                       bool is_float) {
  if (InRange(rules, value, is_float)) return std::nullopt;
  const std::string unit = rules.unit().empty() ? "" : absl::StrCat(" ", rules.unit());
  return absl::StrCat(path, " is ", NumberText(value), unit, "; it takes ", RangeWithUnit(rules, unit));
}

std::optional<std::string> FirstFault(const Message& message) { return FirstFaultBelow(message, nullptr); }

void FillDefaults(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated()) continue;
    const bool set = reflection.HasField(message, &field);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (set) FillDefaults(*reflection.MutableMessage(&message, &field));
    } else if (!set) {
      SetDefault(message, field, RulesOf(field));
    }
  }
}

}  // namespace parley::rules

#include "clients/cpp/field_flag.h"

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/number_text.h"
#include "clients/cpp/server_flags.h"
#include "proto/rules/field_rules.h"

namespace parley::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <typename Value>
NumberCheck AnyNumber() {
  using Limits = std::numeric_limits<Value>;
  NumberCheck check;
  if constexpr (Limits::is_integer) {
    check = WholeNumber(Limits::min(), Limits::max());
  } else {
    check = FiniteNumber(Limits::lowest(), Limits::max());
  }
  check.range.clear();  // the field's is in the help
  return check;
}

template <typename Value>
CLI::Option* Add(CLI::App& app, const char* flag, const std::string& help, Message* message,
                 const FieldDescriptor* field,
                 void (Reflection::*set)(Message*, const FieldDescriptor*, Value) const) {
  return app
      .add_option_function<Value>(
          flag, [=](const Value& value) { (message->GetReflection()->*set)(message, field, value); }, help)
      ->check(Valid(AnyNumber<Value>()));
}

std::string WithRules(const std::string& help, const v1::FieldRules& rules) {
  std::string text = help;
  if (const std::string range = rules::RangeText(rules); !range.empty()) absl::StrAppend(&text, "; ", range);
  if (const std::string value = rules::DefaultText(rules); !value.empty())
    absl::StrAppend(&text, " [", value, "]");
  return text;
}

}  // namespace

CLI::Option* AddFieldFlag(CLI::App& app, const char* flag, const std::string& help, Message* message,
                          int field_number) {
  const FieldDescriptor* to = message->GetDescriptor()->FindFieldByNumber(field_number);
  const std::string text = WithRules(help, rules::RulesOf(*to));
  switch (to->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32:
      return Add<uint32_t>(app, flag, text, message, to, &Reflection::SetUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return Add<uint64_t>(app, flag, text, message, to, &Reflection::SetUInt64);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Add<float>(app, flag, text, message, to, &Reflection::SetFloat);
    default:
      throw CLI::IncorrectConstruction(absl::StrCat(flag, ": ", to->full_name(), " is no number"));
  }
}

}  // namespace parley::client

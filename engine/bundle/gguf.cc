#include "engine/bundle/gguf.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley::engine::bundle {
namespace {

// Metadata value types, numbered as in the file.
enum MetadataType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Bytes that one value of the type takes at least: what a count may not exceed in a file of a given size.
uint64_t LeastBytes(uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kString:
    case kUint64:
    case kInt64:
    case kFloat64:
      return 8;
    default:
      return 0;
  }
}

struct TensorType {
  absl::string_view name;
  std::optional<DType> dtype;
};
// Tensor types, numbered as in the file; those without a DType are named in errors only.
TensorType TensorTypeOf(uint32_t type) {
  switch (type) {
    case 0:
      return {"F32", DType::kF32};
    case 1:
      return {"F16", DType::kF16};
    case 2:
      return {"Q4_0", DType::kQ4_0};
    case 3:
      return {"Q4_1", DType::kQ4_1};
    case 6:
      return {"Q5_0", DType::kQ5_0};
    case 7:
      return {"Q5_1", DType::kQ5_1};
    case 8:
      return {"Q8_0", DType::kQ8_0};
    case 9:
      return {"Q8_1", std::nullopt};
    case 10:
      return {"Q2_K", std::nullopt};
    case 11:
      return {"Q3_K", std::nullopt};
    case 12:
      return {"Q4_K", DType::kQ4_K};
    case 13:
      return {"Q5_K", DType::kQ5_K};
    case 14:
      return {"Q6_K", DType::kQ6_K};
    case 15:
      return {"Q8_K", std::nullopt};
    case 16:
      return {"IQ2_XXS", std::nullopt};
    case 17:
      return {"IQ2_XS", std::nullopt};
    case 18:
      return {"IQ3_XXS", std::nullopt};
    case 19:
      return {"IQ1_S", std::nullopt};
    case 20:
      return {"IQ4_NL", std::nullopt};
    case 21:
      return {"IQ3_S", std::nullopt};
    case 22:
      return {"IQ2_S", std::nullopt};
    case 23:
      return {"IQ4_XS", std::nullopt};
    case 24:
      return {"I8", DType::kI8};
    case 25:
      return {"I16", DType::kI16};
    case 26:
      return {"I32", DType::kI32};
    case 27:
      return {"I64", DType::kI64};
    case 28:
      return {"F64", DType::kF64};
    case 29:
      return {"IQ1_M", std::nullopt};
    case 30:
      return {"BF16", DType::kBF16};
    case 34:
      return {"TQ1_0", std::nullopt};
    case 35:
      return {"TQ2_0", std::nullopt};
    case 39:
      return {"MXFP4", std::nullopt};
    default:
      return {"unknown", std::nullopt};
  }
}

// Walks the bytes; the first read past the end latches `failed`, and every later one returns zero.
class Cursor {
 public:
  explicit Cursor(absl::Span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T Read() {
    T value{};
    if (!Take(sizeof(T))) return value;
    std::memcpy(&value, bytes_.data() + at_ - sizeof(T), sizeof(T));
    return value;
  }
  std::string ReadString() {
    const uint64_t length = Read<uint64_t>();
    if (!Take(length)) return {};
    return std::string(reinterpret_cast<const char*>(bytes_.data() + at_ - length), length);
  }
  uint64_t left() const { return bytes_.size() - at_; }
  uint64_t at() const { return at_; }
  bool failed() const { return failed_; }

 private:
  bool Take(uint64_t count) {
    if (failed_ || count > left()) {
      failed_ = true;
      return false;
    }
    at_ += count;
    return true;
  }

  absl::Span<const std::byte> bytes_;
  uint64_t at_ = 0;
  bool failed_ = false;
};

std::optional<int64_t> ReadInteger(Cursor& cursor, uint32_t type) {
  switch (type) {
    case kUint8:
      return cursor.Read<uint8_t>();
    case kInt8:
      return cursor.Read<int8_t>();
    case kUint16:
      return cursor.Read<uint16_t>();
    case kInt16:
      return cursor.Read<int16_t>();
    case kUint32:
      return cursor.Read<uint32_t>();
    case kInt32:
      return cursor.Read<int32_t>();
    case kInt64:
      return cursor.Read<int64_t>();
    case kUint64:
      return static_cast<int64_t>(cursor.Read<uint64_t>());
    case kBool:
      return cursor.Read<uint8_t>() != 0;
    default:
      return std::nullopt;
  }
}

absl::StatusOr<GgufValue> ReadArray(Cursor& cursor) {
  const uint32_t type = cursor.Read<uint32_t>();
  const uint64_t count = cursor.Read<uint64_t>();
  const uint64_t least = LeastBytes(type);
  if (least == 0)
    return absl::UnimplementedError(absl::StrCat("an array of values of type ", type, " is not read"));
  if (count > cursor.left() / least)
    return absl::DataLossError(absl::StrCat("an array of ", count, " values does not fit"));
  if (type == kString) {
    std::vector<std::string> values;
    values.reserve(count);
    for (uint64_t i = 0; i < count && !cursor.failed(); ++i) values.push_back(cursor.ReadString());
    return values;
  }
  if (type == kFloat32 || type == kFloat64) {
    std::vector<double> values(count);
    for (double& value : values) value = type == kFloat32 ? cursor.Read<float>() : cursor.Read<double>();
    return values;
  }
  std::vector<int64_t> values(count);
  for (int64_t& value : values) value = *ReadInteger(cursor, type);
  return values;
}

absl::StatusOr<GgufValue> ReadValue(Cursor& cursor) {
  const uint32_t type = cursor.Read<uint32_t>();
  switch (type) {
    case kString:
      return cursor.ReadString();
    case kArray:
      return ReadArray(cursor);
    case kFloat32:
      return static_cast<double>(cursor.Read<float>());
    case kFloat64:
      return cursor.Read<double>();
    case kBool:
      return cursor.Read<uint8_t>() != 0;
    case kUint64:
      return cursor.Read<uint64_t>();
    default:
      break;
  }
  if (const std::optional<int64_t> value = ReadInteger(cursor, type)) return *value;
  return absl::DataLossError(absl::StrCat("a value of unknown type ", type));
}

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxRank = 4;

}  // namespace

absl::Status Gguf::Read(absl::Span<const std::byte> bytes) {
  Cursor cursor(bytes);
  const auto loss = [&](absl::string_view reason) {
    return absl::DataLossError(absl::StrCat(path_, ": ", reason));
  };
  const auto truncated = [&] {
    return loss(absl::StrCat("truncated at byte ", cursor.at(), " of ", bytes.size()));
  };
  const auto located = [&](const absl::Status& status, absl::string_view what, absl::string_view name) {
    return absl::Status(status.code(), absl::StrCat(path_, ": ", what, " '", name, "': ", status.message()));
  };

  char magic[4] = {};
  for (char& c : magic) c = cursor.Read<char>();
  if (std::memcmp(magic, "GGUF", sizeof(magic)) != 0) return loss("not a GGUF file");
  const uint32_t version = cursor.Read<uint32_t>();
  if (cursor.failed()) return truncated();
  if (version != 2 && version != 3) {
    return absl::UnimplementedError(absl::StrCat(path_, ": GGUF version ", version,
                                                 " is not read (2 and 3 are, in little-endian byte order)"));
  }
  const uint64_t tensor_count = cursor.Read<uint64_t>();
  const uint64_t key_count = cursor.Read<uint64_t>();
  // Each entry takes more than 16 bytes: counts beyond that are corrupt, and nothing is reserved for them.
  if (cursor.failed() || tensor_count > cursor.left() / 16 || key_count > cursor.left() / 12) {
    return loss(absl::StrCat("truncated or corrupt: ", tensor_count, " tensors and ", key_count, " keys in ",
                             bytes.size(), " bytes"));
  }

  for (uint64_t i = 0; i < key_count; ++i) {
    std::string key = cursor.ReadString();
    absl::StatusOr<GgufValue> value = ReadValue(cursor);
    if (cursor.failed()) return truncated();
    if (!value.ok()) return located(value.status(), "key", key);
    metadata_.insert_or_assign(std::move(key), *std::move(value));
  }

  struct Place {
    std::string name;
    uint64_t offset;
  };
  std::vector<Place> places;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    Entry entry;
    entry.view.name = cursor.ReadString();
    const uint32_t rank = cursor.Read<uint32_t>();
    if (!cursor.failed() && rank > kMaxRank) {
      return loss(
          absl::StrCat("tensor '", entry.view.name, "' has ", rank, " dimensions, at most ", kMaxRank));
    }
    std::vector<int64_t> innermost_first(rank);
    for (int64_t& extent : innermost_first) extent = static_cast<int64_t>(cursor.Read<uint64_t>());
    entry.view.shape.assign(innermost_first.rbegin(), innermost_first.rend());
    entry.type = cursor.Read<uint32_t>();
    const uint64_t offset = cursor.Read<uint64_t>();
    if (cursor.failed()) return truncated();
    const TensorType type = TensorTypeOf(entry.type);
    entry.supported = type.dtype.has_value();
    if (entry.supported) entry.view.dtype = *type.dtype;
    places.push_back({entry.view.name, offset});
    const std::string name = entry.view.name;
    if (!tensors_.emplace(name, std::move(entry)).second)
      return loss(absl::StrCat("tensor '", name, "' stands twice"));
  }

  uint64_t alignment = kDefaultAlignment;
  if (HasKey("general.alignment")) {
    const absl::StatusOr<int64_t> stated = Int("general.alignment");
    if (!stated.ok() || *stated < 1 || *stated > (1 << 20)) return loss("general.alignment is out of range");
    alignment = static_cast<uint64_t>(*stated);
  }
  const uint64_t padding = (alignment - cursor.at() % alignment) % alignment;
  const absl::Span<const std::byte> data =
      padding <= cursor.left() ? bytes.subspan(cursor.at() + padding) : absl::Span<const std::byte>();

  for (const Place& place : places) {
    Entry& entry = tensors_.at(place.name);
    if (!entry.supported) continue;
    const absl::StatusOr<int64_t> size = TensorBytes(entry.view.dtype, entry.view.shape);
    if (!size.ok()) return located(absl::DataLossError(size.status().message()), "tensor", place.name);
    if (place.offset > data.size() || static_cast<uint64_t>(*size) > data.size() - place.offset) {
      return loss(absl::StrCat("truncated: tensor '", place.name, "' takes bytes ", place.offset, " to ",
                               place.offset + static_cast<uint64_t>(*size), " of ", data.size(),
                               " bytes of data"));
    }
    entry.view.bytes = data.subspan(place.offset, static_cast<uint64_t>(*size));
  }
  return absl::OkStatus();
}

absl::StatusOr<Gguf> Gguf::Parse(absl::Span<const std::byte> bytes, const std::string& name) {
  Gguf result;
  result.path_ = name;
  if (absl::Status status = result.Read(bytes); !status.ok()) return status;
  return result;
}

absl::StatusOr<Gguf> Gguf::Open(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<Gguf> result = Parse((*file)->bytes(), path);
  if (result.ok()) result->file_ = *std::move(file);
  return result;
}

absl::StatusOr<const GgufValue*> Gguf::Value(absl::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) return absl::NotFoundError(absl::StrCat(path_, ": no key '", key, "'"));
  return &found->second;
}

template <typename T>
absl::StatusOr<const T*> Gguf::Typed(absl::string_view key, absl::string_view expected) const {
  const absl::StatusOr<const GgufValue*> value = Value(key);
  if (!value.ok()) return value.status();
  if (const T* typed = std::get_if<T>(*value)) return typed;
  return absl::InvalidArgumentError(absl::StrCat(path_, ": key '", key, "' is not ", expected));
}

absl::StatusOr<int64_t> Gguf::Int(absl::string_view key) const {
  const absl::StatusOr<const GgufValue*> value = Value(key);
  if (!value.ok()) return value.status();
  if (const auto* integer = std::get_if<int64_t>(*value)) return *integer;
  const auto* large = std::get_if<uint64_t>(*value);
  if (large != nullptr && *large <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(*large);
  return absl::InvalidArgumentError(absl::StrCat(path_, ": key '", key, "' is not an integer that fits"));
}

absl::StatusOr<double> Gguf::Float(absl::string_view key) const {
  const auto value = Typed<double>(key, "a floating-point number");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<bool> Gguf::Bool(absl::string_view key) const {
  const auto value = Typed<bool>(key, "a boolean");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<std::string> Gguf::String(absl::string_view key) const {
  const auto value = Typed<std::string>(key, "a string");
  if (!value.ok()) return value.status();
  return **value;
}

absl::StatusOr<absl::Span<const std::string>> Gguf::Strings(absl::string_view key) const {
  const auto value = Typed<std::vector<std::string>>(key, "an array of strings");
  if (!value.ok()) return value.status();
  return absl::MakeConstSpan(**value);
}

absl::StatusOr<absl::Span<const int64_t>> Gguf::Ints(absl::string_view key) const {
  const auto value = Typed<std::vector<int64_t>>(key, "an array of integers");
  if (!value.ok()) return value.status();
  return absl::MakeConstSpan(**value);
}

absl::StatusOr<absl::Span<const double>> Gguf::Floats(absl::string_view key) const {
  const auto value = Typed<std::vector<double>>(key, "an array of floating-point numbers");
  if (!value.ok()) return value.status();
  return absl::MakeConstSpan(**value);
}

absl::StatusOr<TensorView> Gguf::Tensor(absl::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(path_, ": no tensor '", name, "'"));
  if (!found->second.supported) {
    return absl::UnimplementedError(absl::StrCat(path_, ": tensor '", name, "' is of type ",
                                                 TensorTypeOf(found->second.type).name, " (",
                                                 found->second.type, "), which is not read"));
  }
  return found->second.view;
}

std::vector<std::string> Gguf::tensor_names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, entry] : tensors_) names.push_back(name);
  return names;
}

}  // namespace parley::engine::bundle

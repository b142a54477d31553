#include "engine/bundle/safetensors.h"

#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace parley::engine::bundle {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kHeaderLimitBytes = 100'000'000;  // the format's own limit

std::optional<DType> DTypeOf(absl::string_view name) {
  static constexpr std::pair<absl::string_view, DType> kNames[] = {
      {"F32", DType::kF32}, {"F16", DType::kF16},  {"BF16", DType::kBF16}, {"F64", DType::kF64},
      {"I8", DType::kI8},   {"I16", DType::kI16},  {"I32", DType::kI32},   {"I64", DType::kI64},
      {"U8", DType::kU8},   {"BOOL", DType::kBool}};
  for (const auto& [known, dtype] : kNames) {
    if (name == known) return dtype;
  }
  return std::nullopt;
}

bool IsIndex(const Json& value) { return value.is_number_unsigned(); }

absl::StatusOr<TensorView> ReadEntry(const std::string& name, const Json& entry,
                                     absl::Span<const std::byte> data) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2 ||
      !IsIndex(entry["data_offsets"][0]) || !IsIndex(entry["data_offsets"][1])) {
    return absl::DataLossError("its header entry lacks dtype, shape or data_offsets");
  }
  const std::string& dtype_name = entry["dtype"].get_ref<const std::string&>();
  const std::optional<DType> dtype = DTypeOf(dtype_name);
  if (!dtype.has_value())
    return absl::UnimplementedError(absl::StrCat("element type ", dtype_name, " is not read"));

  TensorView view;
  view.name = name;
  view.dtype = *dtype;
  for (const Json& extent : entry["shape"]) {
    if (!IsIndex(extent) || extent.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
      return absl::DataLossError("impossible shape");
    }
    view.shape.push_back(extent.get<int64_t>());
  }
  const absl::StatusOr<int64_t> bytes = TensorBytes(view.dtype, view.shape);
  if (!bytes.ok()) return absl::DataLossError(bytes.status().message());
  const uint64_t begin = entry["data_offsets"][0].get<uint64_t>();
  const uint64_t end = entry["data_offsets"][1].get<uint64_t>();
  if (begin > end || end > data.size()) {
    return absl::DataLossError(absl::StrCat("its bytes ", begin, " to ", end, " are not within the file's ",
                                            data.size(), " bytes of data"));
  }
  if (end - begin != static_cast<uint64_t>(*bytes)) {
    return absl::DataLossError(absl::StrCat(end - begin, " bytes for a shape that takes ", *bytes));
  }
  view.bytes = data.subspan(begin, end - begin);
  return view;
}

}  // namespace

absl::Status Safetensors::Add(absl::Span<const std::byte> bytes, const std::string& name) {
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof(header_bytes))
    return absl::DataLossError(absl::StrCat(name, ": shorter than a header"));
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  bytes.remove_prefix(sizeof(header_bytes));
  if (header_bytes > bytes.size() || header_bytes > kHeaderLimitBytes) {
    return absl::DataLossError(absl::StrCat(name, ": no safetensors file, or a truncated one: a header of ",
                                            header_bytes, " bytes in ", bytes.size()));
  }
  const char* text = reinterpret_cast<const char*>(bytes.data());
  const Json header = Json::parse(text, text + header_bytes, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    return absl::DataLossError(absl::StrCat(name, ": the header is not a JSON object"));
  const absl::Span<const std::byte> data = bytes.subspan(header_bytes);
  for (const auto& [tensor, entry] : header.items()) {
    if (tensor == "__metadata__") continue;
    absl::StatusOr<TensorView> view = ReadEntry(tensor, entry, data);
    if (!view.ok()) {
      return absl::Status(view.status().code(),
                          absl::StrCat(name, ": tensor '", tensor, "': ", view.status().message()));
    }
    if (!tensors_.emplace(tensor, *std::move(view)).second) {
      return absl::DataLossError(absl::StrCat(name, ": tensor '", tensor, "' stands in two shards"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Safetensors> Safetensors::Parse(absl::Span<const std::byte> bytes, const std::string& name) {
  Safetensors result;
  result.path_ = name;
  if (absl::Status status = result.Add(bytes, name); !status.ok()) return status;
  return result;
}

absl::StatusOr<Safetensors> Safetensors::Open(const std::string& path) {
  absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<Safetensors> result = Parse((*file)->bytes(), path);
  if (result.ok()) result->files_.push_back(*std::move(file));
  return result;
}

absl::StatusOr<Safetensors> Safetensors::OpenFolder(const std::string& folder) {
  const std::string index_path = absl::StrCat(folder, "/model.safetensors.index.json");
  const absl::StatusOr<std::string> index_text = ReadTextFile(index_path);
  if (absl::IsNotFound(index_text.status())) return Open(absl::StrCat(folder, "/model.safetensors"));
  if (!index_text.ok()) return index_text.status();

  const Json index = Json::parse(*index_text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::DataLossError(absl::StrCat(index_path, ": no JSON object with a weight_map"));
  }
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || shard.get_ref<const std::string&>().empty() ||
        absl::StrContains(shard.get_ref<const std::string&>(), '/')) {
      return absl::DataLossError(absl::StrCat(index_path, ": the shard of '", tensor, "' is no file name"));
    }
    shards.insert(shard.get<std::string>());
  }
  Safetensors result;
  result.path_ = folder;
  for (const std::string& shard : shards) {
    const std::string path = absl::StrCat(folder, "/", shard);
    absl::StatusOr<std::shared_ptr<const MappedFile>> file = MappedFile::Open(path);
    if (!file.ok()) return file.status();
    if (absl::Status status = result.Add((*file)->bytes(), path); !status.ok()) return status;
    result.files_.push_back(*std::move(file));
  }
  return result;
}

absl::StatusOr<TensorView> Safetensors::Find(absl::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(path_, ": no tensor '", name, "'"));
  return found->second;
}

absl::StatusOr<TensorView> Safetensors::Find(absl::string_view name, absl::Span<const int64_t> shape) const {
  absl::StatusOr<TensorView> view = Find(name);
  if (view.ok() && absl::MakeConstSpan(view->shape) != shape) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": tensor '", name, "' is [",
                                                   absl::StrJoin(view->shape, ", "), "], expected [",
                                                   absl::StrJoin(shape, ", "), "]"));
  }
  return view;
}

std::vector<std::string> Safetensors::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

}  // namespace parley::engine::bundle

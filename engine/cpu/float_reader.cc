#include "engine/cpu/float_reader.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace parley::engine::cpu {

std::vector<float> FloatReader::Read(const std::string& name, std::initializer_list<int64_t> shape) {
  int64_t values = 1;
  for (const int64_t size : shape) values *= size;
  std::vector<float> floats(values);
  if (!status_.ok()) return floats;
  const absl::StatusOr<bundle::TensorView> view = file_->Find(name, shape);
  status_ = view.ok() ? Dequantize(*view, absl::MakeSpan(floats)) : view.status();
  return floats;
}

void FloatReader::Fail(const std::string& name, const absl::Status& status) {
  if (!status_.ok()) return;
  status_ = absl::Status(status.code(), absl::StrCat(file_->path(), ": ", name, ": ", status.message()));
}

}  // namespace parley::engine::cpu

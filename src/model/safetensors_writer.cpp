#include <ATen/ATen.h>

#include "base/error.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace finback {

struct SafetensorsWriter::State {
  State(const std::filesystem::path& path, std::vector<TensorEntry> list) : file(path), entries(std::move(list)) {}
  AtomicFile file;
  std::vector<TensorEntry> entries;
  size_t next = 0;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> entries,
                                     std::map<std::string, std::string> metadata)
    : state_(std::make_unique<State>(path, std::move(entries))) {
  state_->file.write(write_safetensors_header(state_->entries, metadata));
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(const at::Tensor& tensor) {
  FB_ASSERT(state_->next < state_->entries.size(), "more tensors than entries");
  const TensorEntry& entry = state_->entries[state_->next++];
  FB_ASSERT(tensor.scalar_type() == entry.dtype && tensor.sizes() == at::IntArrayRef(entry.shape), "{} is not the tensor of its entry",
            entry.name);
  const at::Tensor flat = tensor.to(at::kCPU).contiguous();
  state_->file.write(flat.const_data_ptr(), size_t(flat.nbytes()));
}

void SafetensorsWriter::commit() {
  FB_ASSERT(state_->next == state_->entries.size(), "every entry is written before the commit");
  state_->file.commit();
}

}  // namespace finback

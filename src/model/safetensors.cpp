#include "model/safetensors.h"

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "model/safetensors_header.h"

namespace finback {
namespace {

// Pages of a mapped file that nobody looks at any more leave this process; those that another tensor shares are read again when it is.
void drop_pages(const std::byte* begin, uint64_t bytes) {
  const uintptr_t page = uintptr_t(::sysconf(_SC_PAGESIZE)), first = uintptr_t(begin) / page * page;
  ::madvise(reinterpret_cast<void*>(first), uintptr_t(begin) + bytes - first, MADV_DONTNEED);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(std::make_shared<MappedFile>(path)) {
  SafetensorsHeader header = parse_safetensors_header(file_->bytes(), path.string());
  data_begin_ = header.data_begin;
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  FB_CHECK(found != entries_.end(), "{}: expected tensor {}, not there", path_.string(), quoted_name(name));
  const TensorEntry& entry = found->second;
  FB_CHECK(entry.dtype != at::ScalarType::Undefined, "{}: {}: dtype {} is not known", path_.string(), quoted_name(name),
           stored_dtype(entry));
  const std::byte* data = file_->bytes().data() + data_begin_ + entry.begin;
  const at::TensorOptions options = at::TensorOptions().dtype(entry.dtype);
  if (entry.begin == entry.end) return at::empty(entry.shape, options);
  // Other writers may leave the data at any byte; a view must not be misaligned.
  if (uintptr_t(data) % c10::elementSize(entry.dtype) != 0) {
    const at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
    return copy;
  }
  const auto keep_mapped = [file = file_, data, bytes = entry.end - entry.begin](void*) { drop_pages(data, bytes); };
  return at::from_blob(const_cast<std::byte*>(data), entry.shape, keep_mapped, options);
}

}  // namespace finback

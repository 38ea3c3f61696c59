// The safetensors container (8-byte header length, JSON header, raw little-endian data): a memory-mapped reader that trusts nothing in the
// file, a folder reader over one file or a sharded set with its index, and a streaming writer. Knows no model.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/safetensors_header.h"
#include "model/tensor_source.h"

namespace finback {

// One file. Every entry is validated on open: shape times size equals the byte range, ranges inside the file, no overlap, no hole.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool has(const std::string& name) const { return entries_.contains(name); }
  // Read-only view into the mapping (valid while any tensor or this object lives); with its last owner its pages leave the process's memory. Throws
  // Error for a missing name and for a dtype that is not read.
  at::Tensor tensor(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<MappedFile> file_;
  uint64_t data_begin_ = 0;
  std::map<std::string, TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

// model.safetensors, or model.safetensors.index.json and its shards. One shard is mapped at a time (the last one asked for), so memory stays
// bounded by a shard; tensors that were handed out keep theirs. What else the folder holds in the way of weights is said on stderr. Not thread-safe.
class SafetensorsFolder : public TensorSource {
 public:
  // Throws Error for an index that names a tensor twice, or a file which is not there or is not a plain name in this folder.
  explicit SafetensorsFolder(const std::filesystem::path& folder);
  bool has(const std::string& name) const override;
  // All tensors, shard by shard: the order in which reading them opens every shard once.
  std::vector<std::string> names() const;
  // File names, sorted.
  std::vector<std::string> shards() const;
  const std::string& shard_name(const std::string& name) const { return file_of_.at(name); }
  TensorEntry entry(const std::string& name) const override;
  at::Tensor tensor(const std::string& name) const override;

 private:
  const SafetensorsFile& shard_of(const std::string& name) const;
  void say_what_the_index_hides() const;
  std::filesystem::path folder_;
  std::map<std::string, std::string> file_of_;
  mutable std::string open_name_;
  mutable std::unique_ptr<SafetensorsFile> open_;
};

// Writes tensors in the given order without holding more than one; the file appears whole or not at all.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> entries, std::map<std::string, std::string> metadata);
  ~SafetensorsWriter();
  // The next tensor of the list; dtype and shape must match its entry.
  void write(const at::Tensor& tensor);
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace finback

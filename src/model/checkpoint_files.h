// The files of a model folder beside the tensors' bytes: shard names, the index, tokenizer files, and the order in which a folder becomes
// whole. Used by the writers of checkpoint.h alone.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace finback {

// Makes the folder and removes its config.json: until the writer puts a new one, the folder says that it is not whole.
void begin_model_folder(const std::filesystem::path& folder);

// "model.safetensors", or "model-00002-of-00003.safetensors" for index 1 of 3.
std::string shard_file_name(size_t index, size_t count);

// Which tensor went into which file.
class WeightIndex {
 public:
  void add(const std::string& name, const std::string& file, uint64_t bytes);
  // Writes model.safetensors.index.json when there is more than model.safetensors, and removes weight files that are not of this save.
  void finish(const std::filesystem::path& folder) const;

 private:
  std::map<std::string, std::string> file_of_;
  uint64_t total_bytes_ = 0;
};

const std::vector<std::string>& tokenizer_files();
// Copies those of `names` that `from` holds; the same folder is left alone.
void copy_side_files(const std::filesystem::path& from, const std::filesystem::path& to, const std::vector<std::string>& names);

// The files of a model folder beside its weights (`shards`, their index) and config.json, by name, sorted.
struct Companions {
  std::vector<std::string> copied;    // what a copy of the model takes along
  std::vector<std::string> left_out;  // weights that are not read, a trainer's state, hidden files, folders
};
// Throws Error for one that cannot be copied whole: unreadable, a pointer to a file that was not fetched, or cut off where it must be JSON.
Companions find_companions(const std::filesystem::path& from, const std::vector<std::string>& shards);
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to, const Companions& companions);
// Removes what an earlier model left in the folder: weights, tokenizer files, generation_config.json, README.md.
void remove_model_files(const std::filesystem::path& folder);

}  // namespace finback

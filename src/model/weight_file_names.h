// Which files of a folder may hold a model's weights, by their names alone: safetensors, and what other software reads.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace finback {

// By its ending, in capitals too; state of a trainer is none.
bool is_named_as_weights(const std::filesystem::path& file);
// Sorted; none for a folder that cannot be read.
std::vector<std::string> weight_file_names(const std::filesystem::path& folder);
// "a.bin, b.bin, c.bin and 3 more".
std::string shortened_list(const std::vector<std::string>& names);

}  // namespace finback

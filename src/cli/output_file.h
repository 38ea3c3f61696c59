// The file that a verb is asked to write, looked at before its work begins.
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

namespace finback {

// It can be written (base/output_place.h), and takes the place of no input, and of no file of a model or run folder, but for one that begins with
// `own` (its own kind, written again). Throws Error.
void check_output(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs, std::string_view own = {});

}  // namespace finback

// TOML files as Json values, so that one field visitor serves both. Dates become strings.
#pragma once
#include <filesystem>
#include <string>

#include "base/json.h"

namespace finback {

// Throws Error with line and column of the fault.
Json read_toml(const std::filesystem::path& path);
Json parse_toml(std::string_view text, const std::string& what);
// Tables last, so that the result reads back equal. Null members are left out (TOML has none).
std::string dump_toml(const Json& json);

}  // namespace finback

// JSON values for files and requests: nlohmann's ordered type (keys keep their order) behind readers whose errors are ours.
// Not for hot paths. Depth is bounded, so hostile nesting cannot exhaust the stack.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace finback {

using Json = nlohmann::ordered_json;

// Throws Error naming `what` (a path, "request body") with line/byte of the fault. max_depth counts nested arrays and objects.
Json parse_json(std::string_view text, const std::string& what, int max_depth = 200);
// A whole file, which somebody wrote to say something: a key that stands twice in an object is an Error that names it.
Json read_json(const std::filesystem::path& path);
// Pretty form with a final newline, and the one-line form. Invalid UTF-8 is replaced, never thrown.
std::string dump_json(const Json& json, int indent = 2);
std::string dump_json_line(const Json& json);

// `path` as an object key with the wanted type; throws Error naming key, expected and got type.
const Json& json_at(const Json& object, const std::string& key, const std::string& what);
std::string json_string(const Json& object, const std::string& key, const std::string& what);
// An integer in [low, high]; a float such as 3.0 or a bool is refused.
int64_t json_integer(const Json& object, const std::string& key, const std::string& what, int64_t low, int64_t high);

}  // namespace finback

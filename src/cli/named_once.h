// Runs and files on a command line that are named twice, perhaps by a link or as x/../x: what adds up counts each once. Reads no files.
#pragma once
#include <string>
#include <vector>

namespace finback {

// Two names of one place. The metrics.jsonl of a run stands for its folder.
bool is_same_place(const std::string& a, const std::string& b);
// The places in order, each under its first name; what is left out is said on stderr.
std::vector<std::string> named_once(const std::vector<std::string>& places);

}  // namespace finback

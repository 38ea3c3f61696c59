// finback generate --prompts IN.jsonl --out OUT.jsonl: flags of an offline batch, and what it says at its end.
#pragma once
#include <filesystem>

#include "cli/args.h"

namespace finback {

// REQUIRES: --prompts was given. The exit code.
int run_prompts(const Args& args, const std::filesystem::path& folder);

}  // namespace finback

// Flags of the verbs that answer with a model: how it is loaded and how tokens are drawn.
#pragma once
#include <filesystem>
#include <optional>

#include "cli/args.h"
#include "generate/generation_config.h"
#include "generate/text_model.h"
#include "infer/disk_cache.h"
#include "tokenizer/chat_template.h"

namespace finback {

void declare_model_flags(Args& args);

// generation_config.json of the folder. Keys that are not followed are said on stderr, and that answers are sampled where neither it nor a flag
// says so.
GenerationConfig read_generation_config(const std::filesystem::path& folder, const Args& args);
// --chat-format, else the format of the folder's chat template, else V3 where it has none. Throws Error for a template of another format, with
// the way that works: ids made by transformers.
ChatFormat chat_format_of(const Args& args, const ChatTemplate& found, const std::filesystem::path& folder);
// The flags over the folder's defaults. Throws Error for values out of range.
SamplingParams sampling_of(const Args& args, SamplingParams defaults);
// --seed; without it another one each time.
uint64_t seed_of(const Args& args);
// --cache-dir and --cache-gb: where the prefix cache has its disk tier; none with --cache-gb 0, and where neither XDG_CACHE_HOME nor HOME says where
// caches lie. Throws Error for a folder that would not be used.
std::optional<DiskCacheOptions> disk_cache_options(const Args& args);
// --speculative-tokens, as EngineOptions.
int64_t speculative_tokens_of(const Args& args);
// cached_tokens: that the verb will cache at most, for the count of memory.
TextModelOptions text_model_options(const Args& args, int64_t cached_tokens);

}  // namespace finback

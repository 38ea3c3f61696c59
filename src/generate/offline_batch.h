// Many prompts from a file through one engine: a line of JSON in, a line of JSON out for each of its answers, in order of completion. Every answer
// is the one that its line gets alone. A run that was killed goes on where it was: complete lines stay, what was cut off is made again. Memory
// does not grow with the texts: lines are read as the engine has room (ids are kept, to tell them apart).
//
// in:  {"id"?: text or number, "prompt": text | "messages": [{"role", "content"}] | "ids": [...], sampling fields of request_json.h}
// out: {"id", "index", "seed", "ids", "logprobs", "text", "finish_reason", "usage", "finback": {"cache"}}, or {"id", "error"} for a line that
//      cannot be answered. Without an id a line has its number, from 0.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "cost/serve_usage.h"
#include "generate/request_json.h"
#include "generate/text_model.h"
#include "infer/engine.h"
#include "tokenizer/chat_format.h"

namespace finback {

struct OfflineBatch {
  std::filesystem::path prompts, out;  // out.run beside it says what the answers were made with
  std::string model;                   // its folder, as it is named in out.run
  AskedSampling defaults;              // of a line that says nothing; key.seed: a line's own seed comes from it and the line's id
  GenerationConfig generation;         // for the length of an answer, where neither flag nor line says it
  bool max_tokens_given = false;
  bool seed_given = false;  // else a run that goes on keeps its seed
  std::string weights = "f32";
  std::optional<ChatFormat> format = ChatFormat::kV3;  // of messages; none: they are refused
  int64_t limit = 0;                                   // lines in the engine at the same time; 0: twice max_sequences
};

struct OfflineCounts {
  int64_t answers = 0, errors = 0, kept = 0;  // kept: lines that were complete before
  uint64_t seed = 0;
  ServeUsage usage;  // of this run
};

// Bytes of KV cache for a batch, with MTP latents where they draft: sixteen of the longest sequences, but at most a quarter of the memory that the loaded model leaves, and at least a page.
int64_t offline_cache_bytes(const Transformer& model, bool drafts);
// Before the model is loaded: ids are unique, out goes on from these settings. Throws Error.
void check_offline_batch(const OfflineBatch& batch);
// Throws Error for what is no batch, another model or other settings than those of `out`, and a disk that is full.
OfflineCounts run_offline_batch(const OfflineBatch& batch, const TextModel& model, Engine& engine);

}  // namespace finback

#include "generate/bench_cache.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "infer/engine.h"
#include "model/kv_cache.h"
#include "plan/hit_curve.h"

namespace finback {
namespace {

// Of the disk tier; gone at the end.
struct BenchFolder {
  BenchFolder() : path(std::filesystem::temp_directory_path() / "finback_bench_cache_XXXXXX") {
    std::string name = path.string();
    FB_CHECK(::mkdtemp(name.data()), "{}: cannot make this folder", name);
    path = name;
  }
  ~BenchFolder() {
    std::error_code left;
    std::filesystem::remove_all(path, left);
  }
  BenchFolder(const BenchFolder&) = delete;
  std::filesystem::path path;
};

// A block of the trace is these tokens wherever it stands; its number says all that stands before it, too.
void append_block(int32_t number, int64_t tokens, int64_t vocab, std::vector<int32_t>& prompt) {
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t place[2] = {number, i};
    prompt.push_back(int32_t(xxhash64(std::as_bytes(std::span(place))) % uint64_t(vocab)));
  }
}

Json tier_row(const char* tier, int64_t blocks, int64_t found, int64_t predicted, int64_t all) {
  return {{"tier", tier},
          {"blocks", blocks},
          {"hit", double(found) / double(std::max<int64_t>(all, 1))},
          {"predicted_hit", double(predicted) / double(std::max<int64_t>(all, 1))}};
}

}  // namespace

Json bench_cache(const ModelConfig& config, const CacheTrace& trace, CacheBench options) {
  const int64_t block_tokens = trace.block_tokens / std::max<int64_t>(options.scale, 1), pages = block_tokens / kPageTokens;
  FB_CHECK(options.scale > 0 && trace.block_tokens % options.scale == 0 && block_tokens % kPageTokens == 0 && pages > 0,
           "--scale: expected blocks of {} tokens cut to whole pages of {}, got {}", trace.block_tokens, kPageTokens, options.scale);
  if (options.memory_blocks == 0) options.memory_blocks = std::max<int64_t>(trace.distinct_blocks / 4, 1);
  if (options.disk_blocks == 0) options.disk_blocks = std::max<int64_t>(trace.distinct_blocks / 2, 1);
  size_t longest = 0;
  int64_t all = 0;
  for (const auto& request : trace.requests) longest = std::max(longest, request.size()), all += int64_t(request.size());
  const int64_t most_tokens = int64_t(longest) * block_tokens + 2;
  FB_CHECK(most_tokens <= config.max_position_embeddings, "expected prompts of at most {} tokens, got one of {}. Hint: a larger --scale",
           config.max_position_embeddings, most_tokens);
  FB_CHECK(int64_t(longest) <= options.memory_blocks, "--memory-blocks: expected room for the longest prompt, {} blocks, got {}", longest,
           options.memory_blocks);
  Transformer model(config, at::kCPU, /*trainable=*/false);
  model.parameters().initialize(1, 0.02);
  const int64_t page_bytes = KvCache::page_bytes(config, /*mtp_depths=*/0);
  const BenchFolder folder;
  DiskCache disk({folder.path, options.disk_blocks * pages * disk_block_bytes(page_bytes, 0)});
  // One page more, for the token behind the last full block.
  Engine engine(model,
                {.max_sequence_tokens = most_tokens, .cache_bytes = (options.memory_blocks * pages + 1) * page_bytes, .disk_cache = &disk});
  int64_t memory_tokens = 0, disk_tokens = 0, replayed = 0;
  Progress progress("replaying", double(trace.requests.size()), "requests");
  for (const auto& blocks : trace.requests) {
    Request request{.max_tokens = 1};
    for (const int32_t number : blocks) append_block(number, block_tokens, config.vocab_size, request.prompt);
    request.prompt.push_back(0);  // a hit never covers the last token
    const CacheReceipt receipt = generate(engine, std::move(request)).at(0).cache.value_or(CacheReceipt());
    memory_tokens += receipt.memory_tokens, disk_tokens += receipt.disk_tokens;
    disk.sync();  // what one request wrote is there for the next, as in the planner's replay
    progress.update(double(++replayed));
  }
  progress.vanish();
  const HitCurve curve = replay_trace(trace);
  const EngineMetrics metrics = engine.metrics();
  const int64_t in_memory = memory_tokens / block_tokens, anywhere = (memory_tokens + disk_tokens) / block_tokens;
  Json json = {{"figure", "cache"},
               {"requests", trace.requests.size()},
               {"blocks", all},
               {"distinct_blocks", trace.distinct_blocks},
               {"block_tokens", block_tokens}};
  json["tiers"] = {
      tier_row("memory", options.memory_blocks, in_memory, curve.at(options.memory_blocks), all),
      tier_row("memory and disk", options.disk_blocks, anywhere, curve.at(std::max(options.memory_blocks, options.disk_blocks)), all)};
  json["prefill_tokens_per_s"] = double(metrics.prefill_rows) / std::max(metrics.prefill_seconds, 1e-9);
  json["bytes_read"] = disk.counters().bytes_read;
  json["files_written"] = disk.counters().written;
  return json;
}

}  // namespace finback

#include "cli/prompts_file.h"

#include "base/file.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/model_flags.h"
#include "cli/output_file.h"
#include "cli/typed_text.h"
#include "generate/offline_batch.h"
#include "generate/usage.h"
#include "model/model_folder.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// What belongs to one prompt is refused, as is a file without the other.
void check_prompts_flags(const Args& args) {
  FB_CHECK(args.has("out"), "--prompts: expected --out FILE.jsonl with it, for the answers");
  for (const char* flag : {"prompt", "ids", "chat", "system", "control-tokens", "json"})
    FB_CHECK(!args.has(flag), "--{}: expected --prompt or a prompt on standard input with it, not --prompts", flag);
}

OfflineBatch read_batch(const Args& args, const fs::path& folder) {
  OfflineBatch batch;
  batch.prompts = *args.get("prompts"), batch.out = *args.get("out");
  check_output(batch.out, {batch.prompts}, "{\"id\":");
  batch.generation = read_generation_config(folder, args);
  AskedSampling& defaults = batch.defaults;
  defaults.request.sampling = sampling_of(args, batch.generation.sampling);
  defaults.request.key.seed = seed_of(args), batch.seed_given = args.has("seed");
  batch.max_tokens_given = args.has("max-tokens");
  defaults.request.max_tokens = args.integer("max-tokens", 256, 1, 1 << 30);
  for (const std::string& text : args.all("stop")) {
    if (text.empty()) throw UsageError("--stop: expected a text to end before, got \"\"");
    defaults.stop.push_back(typed_text(text, "--stop"));
  }
  defaults.stop.insert(defaults.stop.end(), batch.generation.stop_strings.begin(), batch.generation.stop_strings.end());
  defaults.ignore_eos = args.has("ignore-eos");
  const ChatTemplate found = read_chat_template(folder);
  const bool another = !found.text.empty() && !found.format && !args.has("chat-format");  // an error of lines with messages alone
  batch.format = another ? std::nullopt : std::optional(chat_format_of(args, found, folder));
  batch.weights = args.get_or("weights", "f32");
  return batch;
}

}  // namespace

int run_prompts(const Args& args, const fs::path& folder) {
  check_prompts_flags(args);
  ServeUsage usage = begin_usage(folder, args.get_or("usage", ""));
  const OfflineBatch batch = read_batch(args, folder);
  check_offline_batch(batch);
  const std::optional<DiskCacheOptions> cached = disk_cache_options(args);
  TextModelOptions options = text_model_options(args, load_model_config(folder).max_position_embeddings);
  options.tokenizer_optional = options.fingerprint = true;
  const TextModel model = load_text_model(folder, batch.generation, options);
  const Timer loaded;
  const int64_t speculative_tokens = speculative_tokens_of(args);
  const bool drafts = mtp_depths_of(speculative_tokens, model.transformer->config()) > 0;
  std::optional<DiskCache> disk;
  if (cached) disk.emplace(*cached);
  Engine engine(*model.transformer, {.cache_bytes = offline_cache_bytes(*model.transformer, drafts),
                                     .disk_cache = disk ? &*disk : nullptr,
                                     .weights_fingerprint = model.weights_fingerprint,
                                     .speculative_tokens = speculative_tokens});
  const OfflineCounts counts = run_offline_batch(batch, model, engine);
  const std::string summary =
      fmt::format("[{} answers and {} errors in {}{}; --seed {}]", counts.answers, counts.errors, batch.out.string(),
                  counts.kept ? fmt::format(", {} lines were there", counts.kept) : "", counts.seed);
  counts.errors > 0 ? warn(summary + ". Lines with errors are tried again by the next run") : inform(summary);
  const int code = counts.errors > 0 && counts.answers + counts.kept == 0 ? 1 : 0;
  if (!args.has("usage")) return code;
  usage.requests += counts.usage.requests;
  usage.hit_tokens += counts.usage.hit_tokens, usage.missed_tokens += counts.usage.missed_tokens;
  usage.output_tokens += counts.usage.output_tokens;
  usage.prefill_seconds += counts.usage.prefill_seconds, usage.decode_seconds += counts.usage.decode_seconds;
  usage.wall_seconds += loaded.seconds();
  add_to_usage_file(*args.get("usage"), usage);
  return code;
}

}  // namespace finback

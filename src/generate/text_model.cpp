#include "generate/text_model.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/status_line.h"
#include "cost/memory_parts.h"
#include "infer/speculation.h"
#include "machine/free_memory.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/panel_folder.h"
#include "model/stored_model.h"
#include "model/stored_quantization.h"

namespace finback {
namespace {

// From the nearest to f32 on; int8 is smaller than fp8, whose head is bf16.
constexpr Precision kNarrower[] = {Precision::kBf16, Precision::kFp8, Precision::kInt8};

void check_room(const ModelConfig& config, Precision weights, const TextModelOptions& options) {
  if (options.anyway || !options.device.is_cpu()) return;
  const auto parts_of = [&](Precision precision, int64_t tokens) {
    return memory_parts(config, {.trains = false,
                                 .precision = precision,
                                 .tokens = std::min(tokens, config.max_position_embeddings),
                                 .drafts = mtp_depths_of(options.speculative_tokens, config) > 0});
  };
  const FreeMemory free = free_memory();
  const auto fits = [&](Precision precision, int64_t tokens) { return total_bytes(parts_of(precision, tokens)) <= free.bytes; };
  std::string hint = "a smaller model";
  if (fits(weights, 0)) {
    hint = "fewer tokens: --max-tokens, or --context of chat";
  } else if (const auto narrower = std::ranges::find_if(kNarrower, [&](Precision p) { return fits(p, options.cached_tokens); });
             narrower != std::end(kNarrower)) {
    hint = fmt::format("--weights {} fits", precision_name(*narrower));
  }
  check_memory(parts_of(weights, options.cached_tokens), free.bytes, free.limit, hint + "; --anyway loads it all the same");
}

// Panels that are mapped are not read for it.
std::string fingerprint_of(const std::filesystem::path& folder, Transformer& model) {
  if (!is_panel_folder(folder)) return model.fingerprint();
  return fmt::format("{:016x}", hash_file(folder / kChecksumsFile));
}

}  // namespace

Precision chosen_weights(const std::filesystem::path& folder, const TextModelOptions& options) {
  if (options.weights) return *options.weights;
  return options.device.is_cpu() && has_weights(folder) ? stored_form(folder) : Precision::kF32;
}

TextModel load_text_model(const std::filesystem::path& given, const GenerationConfig& generation, const TextModelOptions& options) {
  const std::filesystem::path folder = find_model_folder(given);
  const ModelConfig config = load_model_config(folder);
  const int64_t mtp_modules = mtp_depths_of(options.speculative_tokens, config);  // a mistake is said before anything is loaded
  TextModel model;
  model.weights = chosen_weights(folder, options);
  const bool f32 = model.weights == Precision::kF32;
  FB_CHECK(f32 || options.device.is_cpu(), "weights: expected f32 on a GPU, got {}", precision_name(model.weights));
  FB_CHECK(!f32 || !is_panel_folder(folder), "weights: expected int8, as {} stores them in panels, got f32", folder.string());
  check_room(config, model.weights, options);
  if (!options.tokenizer_optional || std::filesystem::exists(folder / "tokenizer.json")) model.tokenizer.emplace(Tokenizer::load(folder));
  model.transformer = f32 ? load_model(folder, options.device, /*trainable=*/false) : load_stored_model(folder, model.weights, mtp_modules);
  if (!f32 && !options.weights)
    inform(fmt::format("weights: {}, as stored{}", precision_name(model.weights),
                       is_panel_folder(folder) ? "" : "; --weights f32 reads them into f32"));
  if (options.fingerprint) model.weights_fingerprint = fingerprint_of(folder, *model.transformer);
  model.stop_ids = stop_ids(model.transformer->config(), generation, model.tokenizer_or_null());
  return model;
}

}  // namespace finback

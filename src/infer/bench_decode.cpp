#include "infer/bench_decode.h"

#include <ATen/ATen.h>

#include <span>
#include <vector>

#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/panel_bytes.h"
#include "infer/engine.h"
#include "machine/figure.h"
#include "model/row_probe.h"
#include "model/weights.h"

namespace finback {
namespace {

// Where the weights lie as decoding reads them: the limit is what reading these very pages takes.
std::vector<std::span<const float>> weight_memory(Transformer& model) {
  std::vector<std::span<const float>> blocks;
  model.for_each_weight([&](LayerMatrix& matrix) {
    const at::Tensor& memory = matrix.memory();
    if (!memory.defined()) return;  // MTP and the other algebra
    blocks.emplace_back(static_cast<const float*>(memory.const_data_ptr()), memory.nbytes() / sizeof(float));
  });
  return blocks;
}

}  // namespace

Json bench_decode(Transformer& model, const DecodeBench& options) {
  FB_CHECK(options.new_tokens >= 2, "expected at least 2 new tokens to time, got {}", options.new_tokens);
  const ModelConfig& config = model.config();
  const MachineProbe probe = probe_machine();
  std::vector<double> prefill, decode, read;
  for (int64_t repeat = 0; repeat < options.repeats + 1; ++repeat) {
    Engine engine(model, {.max_sequence_tokens = options.prompt_tokens + options.new_tokens, .speculative_tokens = 0});
    Request request;
    for (int64_t i = 0; i < options.prompt_tokens; ++i) request.prompt.push_back(int32_t(i * 7919 % config.vocab_size));
    request.max_tokens = options.new_tokens;
    request.sampling.temperature = 0;
    engine.submit(request);
    Timer timer;
    std::vector<TokenEvent> events;
    while (events.empty()) events = engine.step();
    const double first = timer.seconds();  // the prompt and its first token
    timer.restart();
    while (!engine.idle()) engine.step();
    if (repeat == 0) continue;  // warm-up: packs the weights
    prefill.push_back(double(options.prompt_tokens) / first);
    decode.push_back(double(options.new_tokens - 1) / timer.seconds());
    read.push_back(read_gb_per_s(weight_memory(model)));
  }
  const int64_t context = options.prompt_tokens + options.new_tokens / 2;
  const ModelShape shape = shape_of(config);
  const double bytes = double(decoded_weight_bytes(shape, options.weights) + context * cache_bytes_per_token(shape, 4, /*with_mtp=*/false));
  const double rate = median(decode);
  Json json;
  json["figure"] = "decode";
  json["weights"] = precision_name(options.weights);
  json["batch"] = 1;
  json["prompt"] = options.prompt_tokens;
  json["new"] = options.new_tokens;
  json["prefill_tokens_per_s"] = median(prefill);
  json["decode_tokens_per_s"] = rate;
  json["bytes_per_token"] = bytes;
  json["weights_read_gb_per_s"] = median(read);
  json["share_of_read"] = rate * bytes / 1e9 / median(read);
  add_machine(json, probe);
  return json;
}

}  // namespace finback

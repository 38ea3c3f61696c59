#include "infer/bench_speculation.h"

#include <algorithm>
#include <memory>

#include "base/timer.h"
#include "infer/engine.h"
#include "machine/figure.h"
#include "model/row_probe.h"

namespace finback {
namespace {

// One way to decode, and what was measured of it.
struct DecodeWay {
  int64_t speculative_tokens = 0;
  std::unique_ptr<Engine> engine = {};
  std::vector<double> prefill = {}, decode = {}, share = {};
  int64_t steps = 0, drawn = 0;  // of sequences that decode
};

std::vector<Request> requests_of(const SpeculationBench& options, int64_t repeat) {
  const int64_t room = int64_t(options.text.size()) - options.prompt_tokens;
  FB_CHECK(room >= 0, "expected a text of at least {} tokens for a prompt, got {}", options.prompt_tokens, options.text.size());
  std::vector<Request> requests;
  for (int64_t i = 0; i < options.batch; ++i) {
    const int64_t number = repeat * options.batch + i, begin = room == 0 ? 0 : number * 7919 % room;
    Request request;
    request.prompt.assign(options.text.begin() + begin, options.text.begin() + begin + options.prompt_tokens);
    request.max_tokens = options.new_tokens;
    request.sampling.temperature = options.temperature;
    request.key = {.seed = 1, .a = uint32_t(number), .b = 0};
    requests.push_back(std::move(request));
  }
  return requests;
}

// The tokens, by request.
std::vector<std::vector<int32_t>> time_way(DecodeWay& way, const std::vector<Request>& requests, bool counts) {
  std::vector<std::vector<int32_t>> tokens(requests.size());
  int64_t first_id = -1, without_token = int64_t(requests.size()), steps = 0, drawn = 0;
  double prefill = 0, decode = 0;
  for (const Request& request : requests) {
    const int64_t id = way.engine->submit(request);
    if (first_id < 0) first_id = id;
  }
  while (!way.engine->idle()) {
    const bool reads = without_token > 0;
    const Timer timer;
    const std::vector<TokenEvent> events = way.engine->step();
    (reads ? prefill : decode) += timer.seconds();
    if (!reads) ++steps, drawn += int64_t(events.size());
    for (const TokenEvent& event : events) {
      if (event.finish == FinishReason::kError) throw Error(event.error);
      std::vector<int32_t>& answer = tokens[size_t(event.request_id - first_id)];
      without_token -= answer.empty();
      answer.push_back(event.token);
    }
  }
  if (!counts) return tokens;
  way.steps += steps, way.drawn += drawn;
  way.prefill.push_back(double(requests.size() * requests[0].prompt.size()) / prefill);
  way.decode.push_back(double(drawn) / decode);
  return tokens;
}

Json report_of(const DecodeWay& way, const SpeculationBench& options, const EngineMetrics& warm_up) {
  Json json;
  json["speculative_tokens"] = way.speculative_tokens < 0 ? Json("auto") : Json(way.speculative_tokens);
  json["decode_tokens_per_s"] = median(way.decode);
  json["share_of_first"] = median(way.share);
  json["slowest_share"] = *std::min_element(way.share.begin(), way.share.end());
  json["prefill_tokens_per_s"] = median(way.prefill);
  json["tokens_per_step"] = double(way.drawn) / double(way.steps * options.batch);
  const EngineMetrics metrics = way.engine->metrics();
  json["acceptance"] = Json::array(), json["drafted"] = Json::array();
  for (size_t i = 0; i < metrics.drafted.size(); ++i) {
    const int64_t drafted = metrics.drafted[i] - warm_up.drafted[i], accepted = metrics.accepted[i] - warm_up.accepted[i];
    json["drafted"].push_back(drafted);
    json["acceptance"].push_back(drafted ? Json(double(accepted) / double(drafted)) : Json());
  }
  return json;
}

}  // namespace

Json bench_speculation(Transformer& model, const SpeculationBench& options) {
  FB_CHECK(options.new_tokens >= 2, "expected at least 2 new tokens to time, got {}", options.new_tokens);
  std::vector<DecodeWay> ways;
  std::vector<EngineMetrics> warm_up;
  for (const int64_t speculative_tokens : options.ways) {
    const ModelConfig& config = model.config();
    const int64_t sequence = options.prompt_tokens + options.new_tokens, pages = options.batch * pages_for(sequence),
                  page = KvCache::page_bytes(config, mtp_depths_of(speculative_tokens, config));
    ways.push_back({speculative_tokens, std::make_unique<Engine>(model, EngineOptions{.max_sequence_tokens = sequence,
                                                                                      .max_sequences = options.batch,
                                                                                      .cache_bytes = pages * page,
                                                                                      .prefix_cache = false,
                                                                                      .speculative_tokens = speculative_tokens})});
    time_way(ways.back(), requests_of(options, 0), /*counts=*/false);  // packs the weights
    warm_up.push_back(ways.back().engine->metrics());
  }
  for (int64_t repeat = 1; repeat <= options.repeats; ++repeat) {
    const std::vector<Request> requests = requests_of(options, repeat);
    std::vector<std::vector<int32_t>> expected;
    for (DecodeWay& way : ways) {
      const auto tokens = time_way(way, requests, /*counts=*/true);
      if (expected.empty()) expected = tokens;
      FB_CHECK(tokens == expected, "expected the same tokens with and without drafts, got others with speculative_tokens {}",
               way.speculative_tokens);
      way.share.push_back(way.decode.back() / ways[0].decode.back());
    }
  }
  Json json;
  json["figure"] = "speculation";
  json["batch"] = options.batch;
  json["prompt"] = options.prompt_tokens;
  json["new"] = options.new_tokens;
  json["temperature"] = options.temperature;
  json["repeats"] = options.repeats;
  json["ways"] = Json::array();
  for (size_t i = 0; i < ways.size(); ++i) json["ways"].push_back(report_of(ways[i], options, warm_up[i]));
  add_machine(json, probe_machine());
  return json;
}

}  // namespace finback

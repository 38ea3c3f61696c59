#include "generate/request_json.h"

#include <algorithm>
#include <charconv>

#include "infer/sampler.h"

namespace finback {
namespace {

constexpr int64_t kMostChoices = 16;  // each is a sequence of its own
constexpr size_t kMostStops = 16;
constexpr const char* kFields[] = {"max_tokens",        "temperature",        "top_p",      "top_k",    "min_p",       "presence_penalty",
                                   "frequency_penalty", "repetition_penalty", "logit_bias", "seed",     "stop",        "stop_token_ids",
                                   "ignore_eos",        "min_tokens",         "n",          "logprobs", "top_logprobs"};

// A field of the object under its name, with its type.
struct AskedFields {
  const Json& object;

  const Json* find(const char* name) const {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  void number(const char* name, double& value) const {
    const Json* given = find(name);
    FB_CHECK(!given || given->is_number(), "{}: expected a number, got {}", name, dump_json_line(*given).substr(0, 60));
    if (given) value = given->get<double>();
  }
  void integer(const char* name, int64_t& value, int64_t low, int64_t high) const {
    const Json* given = find(name);
    if (!given) return;
    const bool whole = given->is_number_integer() && (!given->is_number_unsigned() || given->get<uint64_t>() <= INT64_MAX);
    FB_CHECK(whole && given->get<int64_t>() >= low && given->get<int64_t>() <= high, "{}: expected a whole number from {} to {}, got {}",
             name, low, high, dump_json_line(*given).substr(0, 60));
    value = given->get<int64_t>();
  }
  void boolean(const char* name, bool& value) const {
    const Json* given = find(name);
    FB_CHECK(!given || given->is_boolean(), "{}: expected true or false, got {}", name, dump_json_line(*given).substr(0, 60));
    if (given) value = given->get<bool>();
  }
};

void read_stop(const Json& given, std::vector<std::string>& stop) {
  for (const Json& text : given.is_array() ? given : Json::array({given})) {
    FB_CHECK(text.is_string() && !text.get_ref<const std::string&>().empty(), "stop: expected a text or a list of texts, got {}",
             dump_json_line(given).substr(0, 60));
    stop.push_back(text.get<std::string>());
  }
  FB_CHECK(stop.size() <= kMostStops, "stop: expected at most {} texts, got {}", kMostStops, stop.size());
}

void read_stop_ids(const Json& given, std::vector<int32_t>& ids) {
  FB_CHECK(given.is_array(), "stop_token_ids: expected a list of token ids, got {}", dump_json_line(given).substr(0, 60));
  for (const Json& id : given) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX, "stop_token_ids: expected token ids, got {}",
             dump_json_line(id).substr(0, 60));
    ids.push_back(id.get<int32_t>());
  }
}

// {"id": bias}: JSON has no numbers for keys.
void read_logit_bias(const Json& given, std::vector<std::pair<int32_t, double>>& logit_bias) {
  FB_CHECK(given.is_object(), "logit_bias: expected {{\"token id\": bias, ...}}, got {}", dump_json_line(given).substr(0, 60));
  for (const auto& [key, bias] : given.items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    FB_CHECK(error == std::errc() && end == key.data() + key.size() && bias.is_number(),
             "logit_bias: expected a token id and a number, got {}: {}", dump_json_line(key).substr(0, 60),
             dump_json_line(bias).substr(0, 60));
    logit_bias.emplace_back(id, bias.get<double>());
  }
}

}  // namespace

std::string sampling_fields() { return fmt::format("{}", fmt::join(kFields, ", ")); }
bool is_sampling_field(const std::string& name) { return std::find(std::begin(kFields), std::end(kFields), name) != std::end(kFields); }

AskedSampling read_sampling(const Json& object, AskedSampling asked) {
  const AskedFields fields{object};
  Request& request = asked.request;
  SamplingParams& sampling = request.sampling;
  fields.integer("max_tokens", request.max_tokens, 1, 1 << 30);
  fields.number("temperature", sampling.temperature);
  fields.number("top_p", sampling.top_p);
  fields.integer("top_k", sampling.top_k, 0, 1 << 30);
  fields.number("min_p", sampling.min_p);
  fields.number("presence_penalty", sampling.presence_penalty);
  fields.number("frequency_penalty", sampling.frequency_penalty);
  fields.number("repetition_penalty", sampling.repetition_penalty);
  fields.integer("min_tokens", sampling.min_tokens, 0, 1 << 30);
  fields.integer("top_logprobs", request.top_logprobs, 0, 20);
  fields.integer("n", asked.n, 1, kMostChoices);
  fields.boolean("ignore_eos", asked.ignore_eos);
  bool logprobs = true;  // they are reported in any case
  fields.boolean("logprobs", logprobs);
  if (fields.find("seed")) {
    int64_t seed = 0;  // clients send negative ones, too
    fields.integer("seed", seed, INT64_MIN, INT64_MAX);
    request.key.seed = uint64_t(seed), asked.seed_given = true;
  }
  if (const Json* stop = fields.find("stop")) read_stop(*stop, asked.stop);
  if (const Json* ids = fields.find("stop_token_ids")) read_stop_ids(*ids, request.stop_ids);
  if (const Json* bias = fields.find("logit_bias")) read_logit_bias(*bias, sampling.logit_bias);
  check_sampling(sampling);
  return asked;
}

}  // namespace finback

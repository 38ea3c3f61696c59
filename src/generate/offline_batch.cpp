#include "generate/offline_batch.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/progress.h"
#include "cost/cache_bytes.h"
#include "data/line_reader.h"
#include "generate/answer_stream.h"
#include "generate/conversation.h"
#include "generate/offline_out.h"
#include "machine/free_memory.h"

namespace finback {
namespace {

// A line of the prompts.
struct PromptLine {
  Json id;            // text or number
  Json object;        // what it asks
  std::string error;  // why it cannot be read
  std::string key() const { return dump_json_line(id); }
  // Names what it asks, its id left out.
  std::string request() const {
    Json asked = object;
    if (asked.is_object()) asked.erase("id");
    return fmt::format("{:016x}", xxhash64(dump_json_line(asked)));
  }
};

PromptLine parse_line(const std::string& text, int64_t number) {
  PromptLine line;
  line.id = number - 1;
  try {
    line.object = parse_json(text, fmt::format("line {}", number));
    FB_CHECK(line.object.is_object(), "line {}: expected an object, got {}", number, line.object.type_name());
    const auto id = line.object.find("id");
    if (id == line.object.end()) return line;
    FB_CHECK(id->is_string() || id->is_number_integer(), "line {}: id: expected a text or a whole number, got {}", number, id->type_name());
    line.id = *id;
  } catch (const Error& e) {
    line.error = e.what();
  }
  return line;
}

// The lines of the file, blank ones left out.
class PromptLines {
 public:
  explicit PromptLines(const std::filesystem::path& path) : reader_(path) {}
  std::optional<PromptLine> next() {
    for (std::string text; reader_.next(text);) {
      if (reader_.too_long()) return PromptLine{reader_.line_number() - 1, {}, "the line is too long"};
      if (text.find_first_not_of(" \t\r") != std::string::npos) return parse_line(text, reader_.line_number());
    }
    return std::nullopt;
  }
  int64_t number() const { return reader_.line_number(); }  // of the line given last, from 1

 private:
  LineReader reader_;
};

// Lines in all. Two answers with one id could not be told apart, and one that is there must be that of its line.
int64_t count_lines(const std::filesystem::path& path, const OfflineOut& out) {
  std::unordered_map<std::string, int64_t> numbers;
  PromptLines lines(path);
  while (const auto line = lines.next()) {
    const auto [before, is_new] = numbers.emplace(line->key(), lines.number());
    FB_CHECK(is_new, "{}:{}: expected an id of its own, {} is that of line {}{}", path.string(), lines.number(), line->key(),
             before->second, line->id.is_string() ? "" : ". Hint: a line without an id has its number, from 0");
    const std::string answered = out.request_of(line->key());
    FB_CHECK(
        answered.empty() || answered == line->request(),
        "{}:{}: expected for id {} what its answer in the file of answers was asked with, got another request. Hint: another --out, or ids "
        "of their own for new lines",
        path.string(), lines.number(), line->key());
  }
  FB_CHECK(!numbers.empty(), "{}: expected a line of JSON for each prompt, got none", path.string());
  return int64_t(numbers.size());
}

// What every line is answered with, but the weights.
Json settings_of(const OfflineBatch& batch, uint64_t seed) {
  const SamplingParams& sampling = batch.defaults.request.sampling;
  Json settings = {{"format", 1},
                   {"weights", batch.weights},
                   {"seed", seed},
                   {"max_tokens", batch.max_tokens_given ? Json(batch.defaults.request.max_tokens) : Json()},
                   {"temperature", sampling.temperature},
                   {"top_p", sampling.top_p},
                   {"top_k", sampling.top_k},
                   {"min_p", sampling.min_p},
                   {"stop", batch.defaults.stop},
                   {"ignore_eos", batch.defaults.ignore_eos},
                   {"chat_format", !batch.format                     ? "none"
                                   : batch.format == ChatFormat::kV3 ? "v3"
                                                                     : "r1"}};
  return settings;
}

uint64_t seed_of_batch(const OfflineBatch& batch, const OfflineOut& out) {
  if (batch.seed_given || out.settings().is_null()) return batch.defaults.request.key.seed;
  return uint64_t(json_integer(out.settings(), "seed", batch.out.string() + ".run", 0, int64_t{1} << 53));
}

std::vector<int32_t> ids_of(const Json& list) {
  FB_CHECK(list.is_array(), "ids: expected a list of token ids, got {}", list.type_name());
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX, "ids: expected token ids, got {}",
             dump_json_line(id).substr(0, 60));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

Conversation conversation_of(const Json& messages, ChatFormat format) {
  FB_CHECK(messages.is_array(), "messages: expected a list, got {}", messages.type_name());
  Conversation conversation{.format = format};
  for (const Json& message : messages) {
    FB_CHECK(message.is_object(), "messages: expected {{\"role\", \"content\"}}, got {}", dump_json_line(message).substr(0, 60));
    conversation.add(json_string(message, "role", "messages"), json_string(message, "content", "messages"));
  }
  return conversation;
}

class BatchRun {
 public:
  BatchRun(const OfflineBatch& batch, const TextModel& model, Engine& engine)
      : batch_(batch), model_(model), engine_(engine), lines_(batch.prompts), out_(batch.out) {
    counts_.seed = seed_of_batch(batch, out_);
    Json settings = settings_of(batch, counts_.seed);
    settings["fingerprint"] = model.weights_fingerprint.empty() ? model.transformer->fingerprint() : model.weights_fingerprint;
    out_.go_on_with(settings);
  }

  OfflineCounts run() {
    Progress progress("answering", double(count_lines(batch_.prompts, out_)), "prompts");
    const int64_t room = batch_.limit > 0 ? batch_.limit : 2 * EngineOptions().max_sequences;
    for (bool more = true; more || !engine_.idle();) {
      while (more && int64_t(choices_.size()) < room) {
        const auto line = lines_.next();
        more = line.has_value();
        if (line) begin(*line);
      }
      for (const TokenEvent& event : engine_.step()) take(event);
      progress.update(double(finished_lines_));
    }
    progress.finish(fmt::format("{} answers, {} errors", counts_.answers, counts_.errors));
    return counts_;
  }

 private:
  // A line whose choices are on their way.
  struct LineInWork {
    Json id;
    std::string request;
    uint64_t seed = 0;
    int64_t left = 0;
  };
  struct Choice {
    std::shared_ptr<LineInWork> line;
    int64_t index = 0;
    AnswerStream stream;
  };

  void begin(const PromptLine& line) {
    const std::string key = line.key();
    const auto work = std::make_shared<LineInWork>();
    work->id = line.id, work->request = line.request();
    try {
      if (!line.error.empty()) throw Error(line.error);
      AskedSampling asked = read_sampling(line.object, batch_.defaults);
      if (!asked.seed_given) asked.request.key.seed = xxhash64(key, counts_.seed) >> 11;  // 53 bits: a JSON number keeps them
      work->seed = asked.request.key.seed;
      TextOptions text;
      read_prompt(line.object, asked, text);
      if (!asked.ignore_eos) add_stop_ids(asked.request.stop_ids);
      for (int64_t index = 0; index < asked.n; ++index) {
        if (out_.has(key, index)) continue;
        asked.request.key.a = uint32_t(index);
        const int64_t id = engine_.submit(asked.request);
        choices_.emplace(id, Choice{work, index, AnswerStream(model_.tokenizer_or_null(), int64_t(asked.request.prompt.size()), text)});
        ++work->left;
      }
    } catch (const Error& e) {
      return fail(work, e.what());
    }
    if (work->left == 0) keep();
  }

  void read_prompt(const Json& object, AskedSampling& asked, TextOptions& text) const {
    int given = 0;
    for (const auto& [name, value] : object.items()) {
      const bool prompt = name == "prompt" || name == "messages" || name == "ids";
      given += prompt;
      FB_CHECK(prompt || name == "id" || is_sampling_field(name), "expected id, prompt, messages, ids or a sampling field ({}), got \"{}\"",
               sampling_fields(), name);
    }
    FB_CHECK(given == 1, "expected one of prompt, messages and ids, got {}", given);
    FB_CHECK(model_.tokenizer || (object.contains("ids") && asked.stop.empty()), "expected ids: the model has no tokenizer for text");
    Request& request = asked.request;
    text.stop = asked.stop;
    if (object.contains("ids")) {
      request.prompt = ids_of(object["ids"]);
    } else if (object.contains("prompt")) {
      request.prompt = text_prompt(*model_.tokenizer, json_string(object, "prompt", "the line"));
    } else {
      FB_CHECK(
          batch_.format,
          "messages: expected a chat template of DeepSeek-V3 or R1 in the folder, got another. Hint: --chat-format v3 or r1, or \"ids\" "
          "that transformers' apply_chat_template made");
      const Conversation conversation = conversation_of(object["messages"], *batch_.format);
      request.prompt = conversation.prompt(*model_.tokenizer);
      text.in_reasoning = conversation.opens_reasoning();
    }
    const bool asks_length = batch_.max_tokens_given || (object.contains("max_tokens") && !object["max_tokens"].is_null());
    if (!asks_length) request.max_tokens = batch_.generation.new_tokens(int64_t(request.prompt.size()), 256);
  }

  void add_stop_ids(std::vector<int32_t>& ids) const {
    for (const int32_t id : model_.stop_ids) {
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }

  void take(const TokenEvent& event) {
    const auto found = choices_.find(event.request_id);
    if (found == choices_.end()) return;  // of a line that failed in this step
    Choice& choice = found->second;
    if (event.finish == FinishReason::kError) return fail(choice.line, event.error);
    choice.stream.push(event);
    if (!choice.stream.finished()) return;
    engine_.cancel(event.request_id);  // a stop string: the engine would go on
    const Answer& answer = choice.stream.answer();
    Json line = {{"id", choice.line->id}, {"index", choice.index}, {"seed", choice.line->seed}};
    line.update(answer_json(answer));
    line["finback"] = {{"cache", receipt_json(answer.cache)}, {"request", choice.line->request}};
    out_.append(line);
    count_answer(counts_.usage, answer.usage, 0, 0);
    ++counts_.answers;
    finished_lines_ += --choice.line->left == 0;
    choices_.erase(found);
  }

  // One line for all choices, also of those that were on their way.
  void fail(const std::shared_ptr<LineInWork>& line, const std::string& error) {
    std::erase_if(choices_, [&](const auto& entry) {
      if (entry.second.line != line) return false;
      engine_.cancel(entry.first);
      return true;
    });
    out_.append({{"id", line->id}, {"error", error}});
    ++counts_.errors, ++finished_lines_;
  }

  void keep() { ++counts_.kept, ++finished_lines_; }

  const OfflineBatch& batch_;
  const TextModel& model_;
  Engine& engine_;
  PromptLines lines_;
  OfflineOut out_;
  std::map<int64_t, Choice> choices_;  // by the engine's id
  OfflineCounts counts_;
  int64_t finished_lines_ = 0;
};

}  // namespace

int64_t offline_cache_bytes(const Transformer& model, bool drafts) {
  const ModelConfig& config = model.config();
  const double a_token = double(cache_bytes_per_token(shape_of(config), 4, drafts));
  const double weights = 2 * double(model.parameters().values_P().nbytes());  // f32, and as they are packed or stored
  const double room = (free_memory().bytes - weights) / 4, wanted = 16 * a_token * double(config.max_position_embeddings);
  return int64_t(std::max(a_token * double(kPageTokens), std::min(room, wanted)));
}

void check_offline_batch(const OfflineBatch& batch) {
  const OfflineOut out(batch.out);
  count_lines(batch.prompts, out);
  if (!out.settings().is_null()) out.check(settings_of(batch, seed_of_batch(batch, out)));
}

OfflineCounts run_offline_batch(const OfflineBatch& batch, const TextModel& model, Engine& engine) {
  BatchRun run(batch, model, engine);
  const EngineMetrics before = engine.metrics();
  OfflineCounts counts = run.run();
  const EngineMetrics& after = engine.metrics();
  counts.usage.prefill_seconds = after.prefill_seconds - before.prefill_seconds;
  counts.usage.decode_seconds = after.decode_seconds - before.decode_seconds;
  return counts;
}

}  // namespace finback

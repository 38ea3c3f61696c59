// finback generate: a prompt through the engine, text streamed as it comes.
#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "base/json.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "infer/engine.h"
#include "model/checkpoint.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

struct Answer {
  std::vector<TokenEvent> events;
  std::string text;
};

// Defaults for sampling come from the model's generation_config.json, then from the flags.
SamplingParams sampling_of(const Args& args, const fs::path& folder) {
  SamplingParams params;
  if (const fs::path file = folder / "generation_config.json"; fs::exists(file)) {
    const Json json = read_json(file);
    FB_CHECK(json.is_object(), "{}: expected an object, got {}", file.string(), json.type_name());
    const Json do_sample = json.value("do_sample", Json(true));
    FB_CHECK(do_sample.is_boolean(), "{}: expected true or false in \"do_sample\", got {}", file.string(), do_sample.type_name());
    const auto number = [&](const char* key) {
      const Json value = json.value(key, Json(1.0));
      FB_CHECK(value.is_number(), "{}: expected a number in \"{}\", got {}", file.string(), key, value.type_name());
      return value.get<double>();
    };
    if (do_sample.get<bool>()) {
      params.temperature = number("temperature");
      params.top_p = number("top_p");
    } else {
      params.temperature = 0;
    }
  }
  params.temperature = args.number("temperature", params.temperature, 0, 100);
  params.top_p = args.number("top-p", params.top_p, 0, 1);
  params.top_k = args.integer("top-k", 0, 0, 1 << 30);
  params.min_p = args.number("min-p", 0, 0, 1);
  params.seed = uint64_t(args.integer("seed", 0, 0, int64_t{1} << 53));
  check_sampling(params);
  return params;
}

std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const Json list = parse_json(text.find('[') == std::string::npos ? "[" + text + "]" : text, "--ids");
  for (size_t i = 0; i < list.size(); ++i) {
    const bool whole = list[i].is_number_unsigned() && list[i].get<uint64_t>() < uint64_t{1} << 31;
    FB_CHECK(whole, "--ids: expected token ids as in 1,2,3, got {}", dump_json_line(list[i]));
    ids.push_back(list[i].get<int32_t>());
  }
  return ids;
}

// Runs one request, printing text as it is certain: no half UTF-8 sequence, nothing that may still turn out to be a stop string.
Answer answer(Engine& engine, const Tokenizer* tokenizer, Request request, const std::string& stop, bool stream) {
  Answer result;
  std::optional<StreamDecoder> decoder;
  if (tokenizer) decoder.emplace(*tokenizer, /*skip_special=*/true);
  StopText stopper(stop);
  const auto emit = [&](const std::string& text) {
    result.text += text;
    if (stream) std::fwrite(text.data(), 1, text.size(), stdout), std::fflush(stdout);
  };
  const int64_t id = engine.submit(std::move(request));
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) {
      result.events.push_back(event);
      if (decoder) emit(stopper.push(decoder->push(event.token)));
      if (stopper.found()) engine.cancel(id);
    }
  }
  if (decoder && !stopper.found()) emit(stopper.push(decoder->finish()) + stopper.finish());
  return result;
}

void print_json(const Answer& answer) {
  Json json;
  json["ids"] = Json::array();
  json["logprobs"] = Json::array();
  for (const TokenEvent& event : answer.events) {
    json["ids"].push_back(event.token);
    json["logprobs"].push_back(event.logprob);
  }
  json["text"] = answer.text;
  fmt::print("{}", dump_json(json));
}

// A flag that would change nothing is a mistake, not a wish.
void check_flags(const Args& args) {
  FB_CHECK(!(args.has("prompt") && args.has("ids")), "--prompt and --ids exclude each other");
  FB_CHECK(!(args.has("chat") && args.has("ids")), "--chat and --ids exclude each other");
  for (const char* flag : {"system", "chat-format"}) FB_CHECK(!args.has(flag) || args.has("chat"), "--{}: expected --chat with it", flag);
}

void declare(Args& args) {
  args.flag("prompt", "TEXT", "text to continue (default: standard input)")
      .flag("ids", "1,2,3", "token ids instead of text")
      .flag("max-tokens", "N", "new tokens at most (default 256)")
      .flag("temperature", "T", "0 is greedy (default: the model's generation_config.json)")
      .flag("top-p", "P", "nucleus sampling (default: the model's)")
      .flag("top-k", "K", "keep the K best tokens (default 0: off)")
      .flag("min-p", "P", "keep tokens at least P times as probable as the best (default 0: off)")
      .flag("seed", "N", "same seed, same text (default 0)")
      .flag("stop", "TEXT", "end before this text")
      .toggle("ignore-eos", "go on behind the end-of-text token")
      .toggle("chat", "treat the prompt as a user's turn in DeepSeek's chat format; on a terminal without --prompt, a conversation")
      .flag("chat-format", "v3|r1", "which of DeepSeek's formats (default v3)")
      .flag("system", "TEXT", "system message of --chat")
      .toggle("json", "{\"ids\", \"logprobs\", \"text\"} of the new tokens")
      .flag("device", "cpu|cuda", "where to run (default cpu)");
}

}  // namespace

int cmd_generate(Words words) {
  Args args(
      "generate MODEL [--prompt TEXT | --ids 1,2,3] [flags]",
      "Continues a prompt with a model folder (a checkpoint of a run, or any Hugging Face folder of the DeepSeek V2/V3 family), or chats.\n"
      "The engine is the server's: latent cache, absorbed attention.",
      "finback generate runs/quickstart/latest --prompt \"It was\" --temperature 0.8");
  declare(args);
  if (!args.parse(words)) return 0;
  const fs::path folder = args.required(0, "a model folder");
  args.at_most(1);
  check_flags(args);
  const ChatFormat format = parse_chat_format(args.get_or("chat-format", "v3"));
  const SamplingParams sampling = sampling_of(args, folder);
  const int64_t max_tokens = args.integer("max-tokens", 256, 1, 1 << 30);
  const std::string device = args.get_or("device", "cpu");
  FB_CHECK(device == "cpu" || device == "cuda", "--device: expected cpu or cuda, got \"{}\"", device);

  const bool needs_text = !args.has("ids");
  std::optional<Tokenizer> tokenizer;
  if (needs_text || fs::exists(folder / "tokenizer.json")) tokenizer.emplace(Tokenizer::load(folder));
  FB_CHECK(tokenizer || !args.has("stop"), "--stop: expected a model folder with tokenizer.json, got none in {}", folder.string());
  const auto model = load_model(folder, at::Device(device), /*trainable=*/false);
  const ModelConfig& config = model->config();

  Request request;
  request.sampling = sampling;
  request.max_tokens = max_tokens;
  if (!args.has("ignore-eos")) {
    const auto eos = config.eos_token_id ? std::optional<int32_t>(int32_t(*config.eos_token_id))
                     : tokenizer         ? tokenizer->eos_id()
                                         : std::nullopt;
    if (eos) request.stop_ids.push_back(*eos);
  }
  std::optional<Engine> engine;
  const bool json = args.has("json");
  std::vector<ChatMessage> messages;
  if (args.has("system")) messages.push_back({"system", *args.get("system")});
  const bool conversation = args.has("chat") && !args.has("prompt") && needs_text && ::isatty(STDIN_FILENO) == 1;
  while (true) {
    std::string text = args.get_or("prompt", "");
    if (conversation) {
      fmt::print(stderr, "> ");
      if (!std::getline(std::cin, text)) break;
    } else if (needs_text && !args.has("prompt")) {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
    }
    if (!needs_text) {
      request.prompt = parse_ids(*args.get("ids"));
    } else if (args.has("chat")) {
      messages.push_back({"user", text});
      request.prompt = encode_chat(*tokenizer, messages, format);
    } else {
      request.prompt = tokenizer->encode(text, /*add_special=*/true);
      // An empty prompt starts a new document, as the training data did.
      if (const auto first = tokenizer->bos_id() ? tokenizer->bos_id() : tokenizer->eos_id(); first && request.prompt.empty())
        request.prompt.push_back(*first);
    }
    if (!engine) {
      // A conversation grows to the model's limit; one request needs a cache of its own length.
      const int64_t longest = int64_t(request.prompt.size()) + max_tokens;
      engine.emplace(*model, EngineOptions{.max_sequence_tokens = conversation ? 0 : std::min(config.max_position_embeddings, longest)});
    }
    Timer timer;
    if (!json && needs_text && !args.has("chat")) fmt::print("{}", text);
    const Answer result = answer(*engine, tokenizer ? &*tokenizer : nullptr, request, args.get_or("stop", ""), !json);
    if (json) {
      print_json(result);
    } else if (!tokenizer) {
      for (const TokenEvent& event : result.events) fmt::print("{} ", event.token);
    }
    if (!json) fmt::print("\n");
    std::fflush(stdout);
    if (!json) fmt::print(stderr, "[{} tokens, {:.1f} tokens/s]\n", result.events.size(), double(result.events.size()) / timer.seconds());
    if (!conversation) break;
    messages.push_back({"assistant", result.text});
  }
  return 0;
}

}  // namespace finback

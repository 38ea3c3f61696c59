// finback generate: a prompt through the engine, text streamed as it comes.
#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "base/json.h"
#include "base/pool.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/serve_bill.h"
#include "infer/engine.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/stop_text.h"
#include "tokenizer/tokenizer.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

struct Answer {
  std::vector<TokenEvent> events;
  std::string text;
  double prefill_seconds = 0, decode_seconds = 0;  // inside the engine; the step that makes the first token still reads the prompt
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
  StopText stopper({stop});
  const auto emit = [&](const std::string& text) {
    result.text += text;
    if (stream) std::fwrite(text.data(), 1, text.size(), stdout), std::fflush(stdout);
  };
  const int64_t id = engine.submit(std::move(request));
  while (!engine.idle()) {
    const Timer timer;
    const std::vector<TokenEvent> events = engine.step();
    (result.events.empty() ? result.prefill_seconds : result.decode_seconds) += timer.seconds();
    for (const TokenEvent& event : events) {
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
      .flag("weights", "f32|bf16|fp8|int8", "how the matrices are kept and read (default f32)")
      .flag("device", "cpu|cuda", "where to run (default cpu)")
      .flag("usage", "FILE.json", "add tokens and seconds of this run to a usage file, for finback bill --serve");
}

// One call of the program: the model, and what the flags ask of it.
struct Session {
  std::optional<Tokenizer> tokenizer;  // none only with --ids and a folder without one
  std::unique_ptr<Transformer> model;
  Request request;  // all but the prompt
  ChatFormat format = ChatFormat::kV3;
  std::vector<ChatMessage> messages;  // of --chat
  bool chat = false, conversation = false, json = false;
};

std::optional<int32_t> eos_of(const ModelConfig& config, const std::optional<Tokenizer>& tokenizer) {
  if (config.eos_token_id) return int32_t(*config.eos_token_id);
  return tokenizer ? tokenizer->eos_id() : std::nullopt;
}

// Flags first, so that a mistake in them is said before a model is loaded.
Session open_session(const Args& args, const fs::path& folder) {
  Session session;
  session.chat = args.has("chat");
  session.json = args.has("json");
  session.conversation = session.chat && !args.has("prompt") && ::isatty(STDIN_FILENO) == 1;
  session.format = parse_chat_format(args.get_or("chat-format", "v3"));
  session.request.sampling = sampling_of(args, folder);
  session.request.max_tokens = args.integer("max-tokens", 256, 1, 1 << 30);
  if (args.has("system")) session.messages.push_back({"system", *args.get("system")});
  const at::Device device = parse_device(args.get_or("device", "cpu"), "--device");
  if (!args.has("ids") || fs::exists(folder / "tokenizer.json")) session.tokenizer.emplace(Tokenizer::load(folder));
  FB_CHECK(session.tokenizer || !args.has("stop"), "--stop: expected a model folder with tokenizer.json, got none in {}", folder.string());
  const Precision weights = parse_precision(args.get_or("weights", "f32"), "--weights");
  FB_CHECK(device.is_cpu() || weights == Precision::kF32, "--weights: expected f32 with --device cuda, got {}", precision_name(weights));
  session.model = load_model(folder, device, /*trainable=*/false);
  if (weights != Precision::kF32) session.model->store_weights(weights);
  const auto eos = eos_of(session.model->config(), session.tokenizer);
  if (eos && !args.has("ignore-eos")) session.request.stop_ids.push_back(*eos);
  return session;
}

// The next text to continue; nothing when a conversation ends.
std::optional<std::string> next_text(const Args& args, const Session& session) {
  if (args.has("ids")) return "";
  std::string text = args.get_or("prompt", "");
  if (session.conversation) {
    fmt::print(stderr, "> ");
    if (!std::getline(std::cin, text)) return std::nullopt;
  } else if (!args.has("prompt")) {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  return text;
}

// A user's turn joins the conversation so far.
std::vector<int32_t> prompt_ids(const Args& args, Session& session, const std::string& text) {
  if (args.has("ids")) return parse_ids(*args.get("ids"));
  const Tokenizer& tokenizer = *session.tokenizer;
  if (session.chat) {
    session.messages.push_back({"user", text});
    return encode_chat(tokenizer, session.messages, session.format).ids;
  }
  std::vector<int32_t> ids = tokenizer.encode(text, /*add_special=*/true);
  // An empty prompt starts a new document, as the training data did.
  if (const auto first = tokenizer.bos_id() ? tokenizer.bos_id() : tokenizer.eos_id(); first && ids.empty()) ids.push_back(*first);
  return ids;
}

// A conversation grows to the model's limit; one request needs a cache of its own length.
EngineOptions engine_options(const Session& session) {
  if (session.conversation) return {.max_sequence_tokens = 0};
  const int64_t longest = int64_t(session.request.prompt.size()) + session.request.max_tokens;
  return {.max_sequence_tokens = std::min(session.model->config().max_position_embeddings, longest)};
}

// What was not streamed: the JSON document, or the end of the text and the speed.
void print_answer(const Session& session, const Answer& result, double seconds) {
  if (session.json) {
    print_json(result);
    return;
  }
  if (!session.tokenizer) {
    for (const TokenEvent& event : result.events) fmt::print("{} ", event.token);
  }
  fmt::print("\n");
  std::fflush(stdout);
  fmt::print(stderr, "[{} tokens, {:.1f} tokens/s]\n", result.events.size(), double(result.events.size()) / seconds);
}

void count_answer(ServeUsage& usage, const Session& session, const Answer& result) {
  ++usage.requests;
  usage.missed_tokens += int64_t(session.request.prompt.size());  // the engine keeps nothing of an earlier prompt
  usage.output_tokens += int64_t(result.events.size());
  usage.prefill_seconds += result.prefill_seconds, usage.decode_seconds += result.decode_seconds;
}

// The file's counters so far, or none; read before anything runs, so that a bad file is said first.
ServeUsage begin_usage(const Args& args, const fs::path& folder) {
  ServeUsage usage;
  usage.model = fs::weakly_canonical(folder).string();
  usage.devices = std::min(threads(), available_cores());
  if (args.has("usage")) {
    FB_CHECK(args.get_or("device", "cpu") == "cpu", "--usage: expected --device cpu, whose hours the price table knows");
    if (const fs::path file = *args.get("usage"); fs::exists(file)) {
      ServeUsage before = read_usage(file);
      add_usage(before, usage);
      return before;
    }
  }
  return usage;
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
  ServeUsage usage = begin_usage(args, folder);
  Session session = open_session(args, folder);
  const Timer loaded;
  std::optional<Engine> engine;
  while (const std::optional<std::string> text = next_text(args, session)) {
    session.request.prompt = prompt_ids(args, session, *text);
    if (!engine) engine.emplace(*session.model, engine_options(session));
    const Timer timer;
    if (!session.json && !session.chat) fmt::print("{}", *text);
    const Answer result =
        answer(*engine, session.tokenizer ? &*session.tokenizer : nullptr, session.request, args.get_or("stop", ""), !session.json);
    print_answer(session, result, timer.seconds());
    count_answer(usage, session, result);
    if (!session.conversation) break;
    session.messages.push_back({"assistant", result.text});
  }
  usage.wall_seconds += loaded.seconds();
  if (args.has("usage")) write_usage(*args.get("usage"), usage);
  return 0;
}

}  // namespace finback

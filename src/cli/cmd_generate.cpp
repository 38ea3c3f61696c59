// finback generate: a prompt through the engine, text streamed as it comes.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <utility>

#include "base/notice.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/model_flags.h"
#include "cli/prompts_file.h"
#include "cli/standard_streams.h"
#include "cli/typed_text.h"
#include "cli/verbs.h"
#include "generate/conversation.h"
#include "generate/generate_text.h"
#include "generate/text_model.h"
#include "model/model_folder.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

Args generate_args() {
  Args args(
      "generate MODEL [--prompt TEXT | --ids 1,2,3 | --prompts IN.jsonl --out OUT.jsonl] [flags]",
      "Continues a prompt with a model folder (a checkpoint of a run, or any Hugging Face folder of the DeepSeek V2/V3 family), or chats.\n"
      "The engine is the server's: latent cache, absorbed attention. --prompts answers a line of JSON each: {\"prompt\" | \"messages\" | "
      "\"ids\": ...,\n\"id\"?, and OpenAI's sampling fields}; killed at any time, the same command goes on.",
      "finback generate runs/quickstart/latest --prompt \"It was\" --temperature 0.8");
  args.flag("prompt", "TEXT", "text to continue (default: standard input, without its last newline)")
      .flag("ids", "1,2,3", "token ids instead of text")
      .flag("prompts", "IN.jsonl", "a file of prompts, answered side by side")
      .flag("out", "OUT.jsonl", "where the answers of --prompts go, one line each; OUT.jsonl.run says what they were made with")
      .flag("max-tokens", "N", "new tokens at most (default: the model's, else 256)")
      .repeatable("stop", "TEXT", "end before this text; may be given several times")
      .toggle("ignore-eos", "go on behind the end-of-text tokens of config.json, generation_config.json and the tokenizer")
      .toggle("control-tokens",
              "read control tokens that the prompt spells (<｜User｜>, <｜fim▁begin｜>, ...) as tokens; else they stay text")
      .toggle("chat", "treat the prompt as a user's turn in DeepSeek's chat format; on a terminal without --prompt: finback chat")
      .flag("chat-format", "v3|r1", "which of DeepSeek's formats (default: what the tokenizer's chat template says, v3 without one)")
      .flag("system", "TEXT", "system message of --chat")
      .toggle(
          "json",
          "{\"ids\", \"logprobs\", \"text\", \"finish_reason\", \"usage\"} of the new tokens, {\"prompt_ids\", \"prompt\"} before them, "
          "{\"finback\": {\"cache\"}}: what was found and why no more");
  declare_model_flags(args);
  return args;
}

// A flag that would change nothing is refused.
void check_flags(const Args& args) {
  FB_CHECK(!(args.has("prompt") && args.has("ids")), "--prompt and --ids exclude each other");
  FB_CHECK(!(args.has("chat") && args.has("ids")), "--chat and --ids exclude each other");
  FB_CHECK(!(args.has("control-tokens") && (args.has("chat") || args.has("ids"))),
           "--control-tokens: expected a text to continue, not --{}", args.has("chat") ? "chat" : "ids");
  FB_CHECK(!args.has("out") || args.has("prompts"), "--out: expected --prompts IN.jsonl with it");
  for (const char* flag : {"system", "chat-format"})
    FB_CHECK(!args.has(flag) || args.has("chat") || args.has("prompts"), "--{}: expected --chat with it", flag);
  FB_CHECK(!args.has("usage") || args.get_or("device", "cpu") == "cpu",
           "--usage: expected --device cpu, whose hours the price table knows");
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

// What the flags ask of which model.
struct Asked {
  bool chat = false, json = false;
  bool control_tokens = false, seed_given = false;
  GenerationConfig defaults;
  Conversation conversation;  // of --chat
  Request request;            // all but the prompt
  TextOptions options;
  TextModel model;
  std::optional<DiskCacheOptions> cached;  // none: nothing on the disk
};

// Flags and small files first, so that a mistake in them is said before a model is loaded.
Asked read_flags(const Args& args, const fs::path& folder) {
  Asked asked;
  asked.chat = args.has("chat");
  asked.json = args.has("json");
  if (asked.chat) asked.conversation.format = chat_format_of(args, read_chat_template(folder), folder);
  if (args.has("system")) asked.conversation.add("system", typed_text(*args.get("system"), "--system"));
  asked.control_tokens = args.has("control-tokens");
  asked.seed_given = args.has("seed");
  asked.defaults = read_generation_config(folder, args);
  asked.request.sampling = sampling_of(args, asked.defaults.sampling);
  asked.request.key.seed = seed_of(args);
  asked.request.max_tokens = args.integer("max-tokens", asked.defaults.new_tokens(0, 256), 1, 1 << 30);
  std::vector<std::string> stop;
  for (const std::string& text : args.all("stop")) {
    if (text.empty()) throw UsageError("--stop: expected a text to end before, got \"\"");
    stop.push_back(typed_text(text, "--stop"));
  }
  stop.insert(stop.end(), asked.defaults.stop_strings.begin(), asked.defaults.stop_strings.end());
  asked.options = {.stop = stop, .in_reasoning = asked.chat && asked.conversation.opens_reasoning()};
  TextModelOptions options = text_model_options(args, asked.request.max_tokens);
  options.tokenizer_optional = args.has("ids") && !args.has("stop");
  asked.cached = disk_cache_options(args);
  options.fingerprint = asked.cached.has_value();
  asked.model = load_text_model(folder, asked.defaults, options);
  if (!args.has("ignore-eos")) asked.request.stop_ids = asked.model.stop_ids;
  return asked;
}

// The text to continue.
std::string prompt_text(const Args& args) {
  if (args.has("ids") || args.has("prompt")) return typed_text(args.get_or("prompt", ""), "--prompt");
  std::string text = typed_text(read_stdin(), "standard input");
  if (text.ends_with('\n')) text.erase(text.size() - (text.ends_with("\r\n") ? 2 : 1));  // echo and editors end a text with one
  return text;
}

// Whether somebody sits at a terminal and wants to talk: that is the other verb's.
bool wants_conversation(const Args& args) {
  const bool wants = args.has("chat") && !args.has("prompt") && ::isatty(STDIN_FILENO) == 1;
  for (const char* flag : {"json", "stop", "ignore-eos"})
    FB_CHECK(!wants || !args.has(flag), "--{}: expected --prompt TEXT with it, or finback chat without it", flag);
  return wants;
}

std::vector<int32_t> prompt_ids(const Args& args, Asked& asked, const std::string& text) {
  if (args.has("ids")) return parse_ids(*args.get("ids"));
  if (!asked.chat) {
    const std::string spelled = asked.control_tokens ? "" : asked.model.tokenizer->spelled_control_token(text);
    if (!spelled.empty()) notice_once(fmt::format("{} in the prompt stays text. Hint: --control-tokens reads it as a token", spelled));
    return text_prompt(*asked.model.tokenizer, text, asked.control_tokens);
  }
  asked.conversation.add("user", text);
  return asked.conversation.prompt(*asked.model.tokenizer);
}

void print_piece(std::string_view text) {
  write_stdout(text);
  flush_stdout();
}

// The prompt as text, control tokens spelled; nothing where the folder has no tokenizer, or an id is no token of it.
std::optional<std::string> readable_prompt(const Asked& asked, const std::vector<int32_t>& prompt) {
  const Tokenizer* tokenizer = asked.model.tokenizer_or_null();
  const bool all_tokens = tokenizer && std::all_of(prompt.begin(), prompt.end(), [&](int32_t id) { return tokenizer->has_token(id); });
  return all_tokens ? std::optional(tokenizer->decode(prompt)) : std::nullopt;
}

// What was not streamed: the JSON document; or ids where there is no text, the speed, and what the next run needs to give the same text.
void print_end(const Asked& asked, const std::vector<int32_t>& prompt, const Answer& answer, double seconds) {
  std::string facts;
  if (asked.request.sampling.temperature > 0 && !asked.seed_given) facts = fmt::format(", --seed {}", asked.request.key.seed);
  const int64_t limit = asked.model.transformer->config().max_position_embeddings;
  if (answer.usage.total_tokens() >= limit && int64_t(answer.ids.size()) < asked.request.max_tokens)
    facts += fmt::format(", ended at the model's {} tokens", limit);
  if (asked.json) {
    Json json = answer_json(answer);
    json["prompt_ids"] = prompt;
    json["finback"] = {{"cache", receipt_json(answer.cache)}};
    if (const auto text = readable_prompt(asked, prompt)) json["prompt"] = *text;
    fmt::print("{}", dump_json(json));
    if (!facts.empty()) inform(fmt::format("[{} tokens{}]", answer.ids.size(), facts));
    return;
  }
  if (!asked.model.tokenizer) {
    for (const int32_t id : answer.ids) fmt::print("{} ", id);
  }
  fmt::print("\n");
  flush_stdout();
  inform(fmt::format("[{} tokens, {:.1f} tokens/s{}]", answer.ids.size(), double(answer.ids.size()) / seconds, facts));
}

// Before anything of it is shown.
void check_prompt(const std::vector<int32_t>& prompt, const ModelConfig& config) {
  FB_CHECK(int64_t(prompt.size()) < config.max_position_embeddings, "expected a prompt shorter than {} tokens, got {}",
           config.max_position_embeddings, prompt.size());
}

}  // namespace

int cmd_generate(CommandLine words) {
  Args args = generate_args();
  if (!args.parse(words)) return 0;
  const fs::path given = args.required(0, "a model folder");
  args.at_most(1);
  check_flags(args);
  const fs::path folder = fs::exists(given) || given.filename() == "latest"
                              ? find_model_folder(given)
                              : given;  // flags are looked at before a folder that is not there
  if (args.has("prompts")) return run_prompts(args, folder);
  if (wants_conversation(args)) return run_chat(args);
  ServeUsage usage = begin_usage(folder, args.get_or("usage", ""));
  Asked asked = read_flags(args, folder);
  const Timer loaded;
  const std::string text = prompt_text(args);
  const std::vector<int32_t> prompt = prompt_ids(args, asked, text);
  asked.request.prompt = prompt;
  check_prompt(asked.request.prompt, asked.model.transformer->config());
  if (!args.has("max-tokens")) asked.request.max_tokens = asked.defaults.new_tokens(int64_t(asked.request.prompt.size()), 256);
  const int64_t limit = asked.model.transformer->config().max_position_embeddings;
  std::optional<DiskCache> disk;
  if (asked.cached) disk.emplace(*asked.cached);
  Engine engine(*asked.model.transformer,
                {.max_sequence_tokens = std::min(limit, int64_t(asked.request.prompt.size()) + asked.request.max_tokens),
                 .disk_cache = disk ? &*disk : nullptr,
                 .weights_fingerprint = asked.model.weights_fingerprint,
                 .speculative_tokens = speculative_tokens_of(args)});
  const Timer timer;
  bool echoed = asked.json || asked.chat;
  const auto echo = [&] {
    if (!std::exchange(echoed, true)) print_piece(text);
  };
  // The prompt is shown when it was read: progress of reading would be written over it.
  const auto show = [&](std::string_view piece) {
    echo();
    print_piece(piece);
  };
  const std::function<void(std::string_view)> on_text = asked.json ? nullptr : std::function<void(std::string_view)>(show);
  const auto [answer, prefill_seconds, decode_seconds] =
      generate_text(engine, asked.model.tokenizer_or_null(), asked.request, asked.options, on_text);
  echo();
  print_end(asked, prompt, answer, timer.seconds());
  count_answer(usage, answer.usage, prefill_seconds, decode_seconds);
  usage.wall_seconds += loaded.seconds();
  if (args.has("usage")) add_to_usage_file(*args.get("usage"), usage);
  return 0;
}

}  // namespace finback

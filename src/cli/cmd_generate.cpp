// finback generate: a prompt through the engine, text streamed as it comes.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "generate/conversation.h"
#include "generate/generate_text.h"
#include "generate/text_model.h"
#include "infer/sampler.h"
#include "model/device.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

Args generate_args() {
  Args args(
      "generate MODEL [--prompt TEXT | --ids 1,2,3] [flags]",
      "Continues a prompt with a model folder (a checkpoint of a run, or any Hugging Face folder of the DeepSeek V2/V3 family), or chats.\n"
      "The engine is the server's: latent cache, absorbed attention.",
      "finback generate runs/quickstart/latest --prompt \"It was\" --temperature 0.8");
  args.flag("prompt", "TEXT", "text to continue (default: standard input)")
      .flag("ids", "1,2,3", "token ids instead of text")
      .flag("max-tokens", "N", "new tokens at most (default 256)")
      .flag("temperature", "T", "0 is greedy (default: the model's generation_config.json)")
      .flag("top-p", "P", "nucleus sampling (default: the model's)")
      .flag("top-k", "K", "keep the K best tokens, 0: all (default: the model's)")
      .flag("min-p", "P", "keep tokens at least P times as probable as the best (default: the model's)")
      .flag("seed", "N", "same seed, same text (default 0)")
      .flag("stop", "TEXT", "end before this text; may be given several times")
      .toggle("ignore-eos", "go on behind the end-of-text tokens of config.json and generation_config.json")
      .toggle("chat", "treat the prompt as a user's turn in DeepSeek's chat format; on a terminal without --prompt, a conversation")
      .flag("chat-format", "v3|r1", "which of DeepSeek's formats (default v3)")
      .flag("system", "TEXT", "system message of --chat")
      .toggle("json", "{\"ids\", \"logprobs\", \"text\", \"finish_reason\", \"usage\"} of the new tokens")
      .flag("weights", "f32|bf16|fp8|int8", "how the matrices are kept and read (default f32)")
      .flag("device", "cpu|cuda", "where to run (default cpu)")
      .toggle("anyway", "load the model though the count of memory says that it does not fit")
      .flag("usage", "FILE.json", "add tokens and seconds of this run to a usage file, for finback bill --serve");
  return args;
}

// A flag that would change nothing is a mistake, not a wish.
void check_flags(const Args& args) {
  FB_CHECK(!(args.has("prompt") && args.has("ids")), "--prompt and --ids exclude each other");
  FB_CHECK(!(args.has("chat") && args.has("ids")), "--chat and --ids exclude each other");
  for (const char* flag : {"system", "chat-format"}) FB_CHECK(!args.has(flag) || args.has("chat"), "--{}: expected --chat with it", flag);
  FB_CHECK(!args.has("usage") || args.get_or("device", "cpu") == "cpu",
           "--usage: expected --device cpu, whose hours the price table knows");
}

SamplingParams sampling_of(const Args& args, SamplingParams params) {
  params.temperature = args.number("temperature", params.temperature, 0, 100);
  params.top_p = args.number("top-p", params.top_p, 0, 1);
  params.top_k = args.integer("top-k", params.top_k, 0, 1 << 30);
  params.min_p = args.number("min-p", params.min_p, 0, 1);
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

// What the flags ask of which model.
struct Asked {
  bool chat = false, turns = false, json = false;  // turns: one after the other, from a terminal
  Conversation conversation;                       // of --chat
  Request request;                                 // all but the prompt
  TextOptions options;
  TextModel model;
};

// Flags and small files first, so that a mistake in them is said before a model is loaded.
Asked read_flags(const Args& args, const fs::path& folder) {
  Asked asked;
  asked.chat = args.has("chat");
  asked.turns = asked.chat && !args.has("prompt") && ::isatty(STDIN_FILENO) == 1;
  asked.json = args.has("json");
  asked.conversation.format = parse_chat_format(args.get_or("chat-format", "v3"));
  if (args.has("system")) asked.conversation.add("system", *args.get("system"));
  const GenerationConfig defaults = load_generation_config(folder);
  asked.request.sampling = sampling_of(args, defaults.sampling);
  asked.request.max_tokens = args.integer("max-tokens", 256, 1, 1 << 30);
  asked.options = {.stop = args.all("stop"), .in_reasoning = asked.chat && asked.conversation.opens_reasoning()};
  asked.model = load_text_model(folder, defaults,
                                {.device = parse_device(args.get_or("device", "cpu"), "--device"),
                                 .weights = parse_precision(args.get_or("weights", "f32"), "--weights"),
                                 .tokenizer_optional = args.has("ids") && !args.has("stop"),
                                 .cached_tokens = asked.request.max_tokens,
                                 .anyway = args.has("anyway")});
  if (!args.has("ignore-eos")) asked.request.stop_ids = asked.model.stop_ids;
  return asked;
}

// The next text to continue; nothing when a conversation ends.
std::optional<std::string> next_text(const Args& args, bool turns) {
  std::string text = args.get_or("prompt", "");
  if (args.has("ids") || args.has("prompt")) return text;
  if (!turns) return std::string(std::istreambuf_iterator<char>(std::cin), {});
  fmt::print(stderr, "> ");
  return std::getline(std::cin, text) ? std::optional(text) : std::nullopt;
}

std::vector<int32_t> prompt_ids(const Args& args, Asked& asked, const std::string& text) {
  if (args.has("ids")) return parse_ids(*args.get("ids"));
  if (!asked.chat) return text_prompt(*asked.model.tokenizer, text);
  asked.conversation.add("user", text);
  return asked.conversation.prompt(*asked.model.tokenizer);
}

void print_piece(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout), std::fflush(stdout); }

// What was not streamed: the JSON document; or ids where there is no text, and the speed.
void print_end(const Asked& asked, const Answer& answer, double seconds) {
  if (asked.json) return fmt::print("{}", dump_json(answer_json(answer)));
  if (!asked.model.tokenizer) {
    for (const int32_t id : answer.ids) fmt::print("{} ", id);
  }
  fmt::print("\n");
  std::fflush(stdout);
  fmt::print(stderr, "[{} tokens, {:.1f} tokens/s]\n", answer.ids.size(), double(answer.ids.size()) / seconds);
}

}  // namespace

int cmd_generate(Words words) {
  Args args = generate_args();
  if (!args.parse(words)) return 0;
  const fs::path folder = args.required(0, "a model folder");
  args.at_most(1);
  check_flags(args);
  ServeUsage usage = begin_usage(folder, args.get_or("usage", ""));
  Asked asked = read_flags(args, folder);
  const Timer loaded;
  std::optional<Engine> engine;
  while (const std::optional<std::string> text = next_text(args, asked.turns)) {
    asked.request.prompt = prompt_ids(args, asked, *text);
    // A conversation grows to the model's limit; one request needs a cache of its own length.
    const int64_t limit = asked.model.transformer->config().max_position_embeddings;
    const int64_t tokens = asked.turns ? limit : std::min(limit, int64_t(asked.request.prompt.size()) + asked.request.max_tokens);
    if (!engine) engine.emplace(*asked.model.transformer, EngineOptions{.max_sequence_tokens = tokens});
    const Timer timer;
    if (!asked.json && !asked.chat) print_piece(*text);
    const auto [answer, prefill_seconds, decode_seconds] =
        generate_text(*engine, asked.model.tokenizer_or_null(), asked.request, asked.options, asked.json ? nullptr : print_piece);
    print_end(asked, answer, timer.seconds());
    count_answer(usage, answer.usage, prefill_seconds, decode_seconds);
    if (!asked.turns) break;
    asked.conversation.add("assistant", answer.text);
  }
  usage.wall_seconds += loaded.seconds();
  if (args.has("usage")) write_usage(*args.get("usage"), usage);
  return 0;
}

}  // namespace finback

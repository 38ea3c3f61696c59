// finback chat: a conversation with a model, at a terminal or line by line.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/output_place.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/line_editor.h"
#include "cli/model_flags.h"
#include "cli/standard_streams.h"
#include "cli/typed_text.h"
#include "cli/verbs.h"
#include "generate/chat_session.h"
#include "generate/text_model.h"
#include "model/model_folder.h"
#include "tokenizer/chat_template.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr const char* kHelp =
    "  /help        this text\n"
    "  /reset       forget the conversation; the system message stays\n"
    "  /context     tokens used and left\n"
    "  /save FILE   write the conversation as one JSON line {\"messages\": [...]}\n"
    "  /exit        leave (also Ctrl-D)\n"
    "Ctrl-C stops an answer, or drops what was typed. Alt-Enter begins a new line; a paste of several lines is one message.\n"
    "//text sends /text. When the context is full the oldest turns are dropped.";

Args chat_args() {
  Args args("chat MODEL [flags]",
            "Talks with a model folder, turn by turn. At a terminal: a line editor with history (arrow keys, Ctrl-R), pastes in one piece, "
            "Ctrl-C stops the\n"
            "answer and not the conversation, Ctrl-D or /exit leaves, /help lists the commands. Otherwise each line of standard input is a "
            "turn.\n"
            "When conversation and answer do not fit into the context, the oldest turns are dropped, and that is said; a message too long "
            "for the\n"
            "whole context is refused, and the conversation goes on.",
            "finback chat runs/quickstart/latest --temperature 0.8");
  args.flag("chat-format", "v3|r1", "which of DeepSeek's formats (default: what the tokenizer's chat template says)")
      .flag("system", "TEXT", "system message")
      .flag("context", "N", "tokens of conversation and answer together (default: the model's limit)")
      .flag("max-tokens", "N", "tokens of an answer at most (default: the model's, else a quarter of the context)")
      .flag("load", "FILE", "go on with a conversation that /save wrote")
      .flag("history", "FILE", "what was typed, for the arrow keys (default: finback/chat_history in XDG_STATE_HOME or ~/.local/state)")
      .toggle("no-history", "keep nothing of what is typed");
  declare_model_flags(args);
  return args;
}

// Bracketed lines on stderr, pale where colours are.
void note(const std::string& text) {
  const bool pale = shows_colours(STDERR_FILENO);
  inform(fmt::format("{}[{}]{}", pale ? "\033[2m" : "", text, pale ? "\033[0m" : ""));
}

// What a model writes may be any bytes: at a terminal control characters would do things.
void print_text(std::string_view text) {
  std::string shown;
  const bool terminal = is_terminal(STDOUT_FILENO);
  for (const char c : text) {
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    shown += terminal && control ? "\uFFFD" : std::string(1, c);
  }
  write_stdout(shown);
  flush_stdout();
}

void save_conversation(const ChatSession& session, const std::string& file) {
  FB_CHECK(!file.empty(), "/save: expected a file name");
  FB_CHECK(!fs::exists(file), "/save: {} is there already. Hint: another name", file);
  Json messages = Json::array();
  for (const ChatMessage& message : session.messages()) messages.push_back({{"role", message.role}, {"content", message.content}});
  write_file_atomic(file, dump_json_line({{"messages", messages}}) + "\n");
  note(fmt::format("{} messages in {}", messages.size(), file));
}

// The messages of a file that /save wrote.
std::vector<ChatMessage> saved_conversation(const fs::path& file) {
  const Json json = read_json(file);
  FB_CHECK(json.is_object() && json.contains("messages") && json["messages"].is_array(),
           "{}: expected {{\"messages\": [...]}}, as /save of finback chat writes", file.string());
  std::vector<ChatMessage> messages;
  for (const Json& message : json["messages"]) {
    FB_CHECK(message.is_object(), "{}: messages: expected {{\"role\", \"content\"}}, got {}", file.string(),
             dump_json_line(message).substr(0, 60));
    messages.push_back({json_string(message, "role", file.string()), json_string(message, "content", file.string())});
  }
  return messages;
}

// One conversation and what is shown of it.
class ChatLoop {
 public:
  ChatLoop(ChatSession& session, LineEditor& editor, TurnSignals* signals, ServeUsage& usage)
      : session_(session), editor_(editor), signals_(signals), usage_(usage) {}

  // Until the user leaves; the exit code.
  int run() {
    std::string text;
    while (!leaving_) {
      const LineEditor::Input input = editor_.read(text);
      if (signals_ && signals_->leaving()) return 128 + signals_->leaving();
      if (input == LineEditor::Input::kEnd) break;
      if (input == LineEditor::Input::kInterrupted) {
        signals_->take_interrupt();
        note("Ctrl-D or /exit leaves");
        continue;
      }
      take(typed_text(text, editor_.interactive() ? "the message" : "standard input"));
      if (signals_ && signals_->leaving()) return 128 + signals_->leaving();
    }
    return editor_.interactive() || !failed_ ? 0 : 1;
  }

 private:
  // A turn that fails is said, and the conversation goes on.
  void take(const std::string& text) {
    const size_t begin = text.find_first_not_of(" \t\n");
    if (begin == std::string::npos) return;
    try {
      if (text[begin] == '/' && text.compare(begin, 2, "//") != 0) {
        command(text.substr(begin));
      } else {
        turn(text[begin] == '/' ? text.substr(begin + 1) : text);
      }
    } catch (const OutputError&) {
      throw;  // nobody reads the answers any more
    } catch (const Error& e) {
      failed_ = true;
      warn(fmt::format("finback: {}", e.what()));
    }
  }

  void command(const std::string& line) {
    const size_t blank = line.find_first_of(" \t\n"), end = line.find_last_not_of(" \t\n");
    const std::string name = line.substr(0, blank);
    const size_t rest = blank == std::string::npos ? std::string::npos : line.find_first_not_of(" \t\n", blank);
    const std::string value = rest == std::string::npos ? "" : line.substr(rest, end + 1 - rest);
    FB_CHECK(name == "/save" || value.empty(), "{}: takes no value, got \"{}\"", name, value);
    if (name == "/save") return save_conversation(session_, value);
    if (name == "/help") return warn(kHelp);
    if (name == "/exit" || name == "/quit") leaving_ = true;
    if (name == "/reset") session_.reset();
    if (name == "/reset") note("the conversation begins anew");
    if (name == "/context") warn(context());
    const bool known = leaving_ || name == "/reset" || name == "/context";
    FB_CHECK(known, "{}: unknown command. Hint: /help lists them; //text sends /text", name);
  }

  std::string context() const {
    return fmt::format("{} of {} tokens of context used, {} left", session_.used_tokens(), session_.context_tokens(),
                       session_.context_tokens() - session_.used_tokens());
  }

  void turn(const std::string& text) {
    const Timer timer;
    bool line_open = false;
    const auto show = [&](std::string_view piece) {
      print_text(piece);
      line_open = true;
    };
    if (signals_) signals_->take_interrupt();
    ChatTurn turn;
    try {
      turn = session_.say(
          text, show, [this] { return signals_ && signals_->interrupted(); },
          [](const ChatTurn& begun) {
            if (begun.dropped)
              note(fmt::format("the context is full: the oldest {} dropped",
                               begun.dropped == 1 ? "turn was" : fmt::format("{} turns were", begun.dropped)));
          });
    } catch (const OutputError&) {
      throw;
    } catch (...) {
      if (line_open) print_text("\n");
      throw;
    }
    print_text("\n");
    if (signals_) signals_->take_interrupt();
    const Answer& answer = turn.timed.answer;
    count_answer(usage_, answer.usage, turn.timed.prefill_seconds, turn.timed.decode_seconds);
    std::string end = fmt::format("{} tokens, {:.1f} tokens/s", answer.ids.size(), double(answer.ids.size()) / timer.seconds());
    if (answer.usage.prompt_cache_hit_tokens > 0) {
      end += fmt::format(", {} of {} read before", answer.usage.prompt_cache_hit_tokens, answer.usage.prompt_tokens);
    }
    if (turn.stopped) end += answer.text.empty() ? ", stopped: the message was taken back" : ", stopped";
    if (turn.context_full) end += ", cut where the context ends";
    if (answer.finish == FinishReason::kLength && !turn.context_full) end += ", cut at --max-tokens";
    note(end + "; " + context());
  }

  ChatSession& session_;
  LineEditor& editor_;
  TurnSignals* signals_;
  ServeUsage& usage_;
  bool leaving_ = false, failed_ = false;
};

}  // namespace

int run_chat(const Args& args) {
  const fs::path folder = find_model_folder(args.required(0, "a model folder"));
  args.at_most(1);
  FB_CHECK(!(args.has("history") && args.has("no-history")), "--history and --no-history exclude each other");
  if (args.has("history")) {  // made with its folder, but only when something was typed
    const fs::path history = *args.get("history");
    FB_CHECK(!fs::is_directory(history), "--history: expected a file, got the folder {}", history.string());
    check_folder_place(history.has_parent_path() ? history.parent_path() : fs::path("."));
  }
  // Flags and small files first, so that a mistake in them is said before a model is loaded.
  const ChatTemplate found = read_chat_template(folder);
  ChatOptions options;
  options.format = chat_format_of(args, found, folder);
  FB_CHECK(args.has("chat-format") || !found.text.empty(),
           "{}: expected a chat template in its tokenizer_config.json, got none. Hint: --chat-format v3 (DeepSeek-V3 of December 2024) or "
           "--chat-format r1 (DeepSeek-R1)",
           folder.string());
  FB_CHECK(!(args.has("load") && args.has("system")), "--system: the conversation of --load has its own, or none");
  std::vector<ChatMessage> loaded_messages;
  if (args.has("load")) loaded_messages = saved_conversation(*args.get("load"));
  options.system = typed_text(args.get_or("system", ""), "--system");
  const GenerationConfig defaults = read_generation_config(folder, args);
  options.sampling = sampling_of(args, defaults.sampling);
  options.seed = seed_of(args);
  const int64_t limit = load_model_config(folder).max_position_embeddings;
  options.context_tokens = args.integer("context", limit, 16, limit);
  options.max_tokens = args.integer("max-tokens", defaults.new_tokens(0, std::max<int64_t>(1, options.context_tokens / 4)), 1, 1 << 30);
  options.stop = defaults.stop_strings;
  ServeUsage usage = begin_usage(folder, args.get_or("usage", ""));
  const std::optional<DiskCacheOptions> cached = disk_cache_options(args);
  TextModelOptions loading = text_model_options(args, options.context_tokens);
  loading.fingerprint = cached.has_value();
  const TextModel model = load_text_model(folder, defaults, loading);
  options.stop_ids = model.stop_ids;
  const Timer loaded;
  std::optional<DiskCache> disk;
  if (cached) disk.emplace(*cached);
  Engine engine(*model.transformer, {.max_sequence_tokens = options.context_tokens,
                                     .disk_cache = disk ? &*disk : nullptr,
                                     .weights_fingerprint = model.weights_fingerprint,
                                     .speculative_tokens = speculative_tokens_of(args)});
  AnswerMemory memory;
  const fs::path remembered = cached ? cached->folder / "answers.json" : fs::path();
  if (disk && disk->on()) memory.read(remembered);
  ChatSession session(engine, *model.tokenizer, options, &memory);
  if (args.has("load")) {
    session.load(std::move(loaded_messages));
    note(fmt::format("{} messages of {}", session.messages().size(), *args.get("load")));
  }

  const bool typed = is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
  std::optional<TurnSignals> signals;
  if (typed) signals.emplace();
  InputHistory history(!typed || args.has("no-history") ? "" : fs::path(args.get_or("history", default_history_file().string())));
  LineEditor editor(history, signals ? &*signals : nullptr);
  if (typed) {
    note(fmt::format("{}: {} tokens of context, format {}{}. /help lists commands, /exit leaves", folder.string(), options.context_tokens,
                     options.format == ChatFormat::kV3 ? "v3" : "r1",
                     options.sampling.temperature > 0 ? fmt::format(", seed {}", options.seed) : ""));
  }
  // There is no fine-tuning in finback yet: its own models have read documents, and the template stands in their tokenizer for later.
  if (found.of_finback || fs::exists(folder / "trainer.json"))
    warn("This model has had no chat training: finback trains on documents. It continues text, it does not answer.");
  const int code = ChatLoop(session, editor, signals ? &*signals : nullptr, usage).run();
  if (disk && disk->on() && memory.size() > 0) memory.write(remembered);
  usage.wall_seconds += loaded.seconds();
  if (args.has("usage")) add_to_usage_file(*args.get("usage"), usage);
  return code;
}

int cmd_chat(CommandLine words) {
  Args args = chat_args();
  return args.parse(words) ? run_chat(args) : 0;
}

}  // namespace finback

// Every verb of the program: one function, one file cmd_<verb>.cpp. A verb parses its arguments, calls one function of a lower folder and
// prints. Returns the exit code; throws Error for a mistake from outside and UsageError for an unknown flag or a missing argument.
#pragma once
#include <span>
#include <string>

namespace finback {

using CommandLine = std::span<const std::string>;

int cmd_corpus(CommandLine words);
int cmd_tokenizer(CommandLine words);
int cmd_tokenize(CommandLine words);
int cmd_train(CommandLine words);
int cmd_generate(CommandLine words);
int cmd_inspect(CommandLine words);
int cmd_doctor(CommandLine words);
int cmd_parity(CommandLine words);
int cmd_convert(CommandLine words);
int cmd_plan(CommandLine words);
int cmd_bill(CommandLine words);
int cmd_bench(CommandLine words);
int cmd_chat(CommandLine words);
class Args;
// The conversation of `finback chat`, and of `finback generate --chat` at a terminal: flags of either that do not apply are refused before.
int run_chat(const Args& args);
int cmd_plot(CommandLine words);
int cmd_version(CommandLine words);
int cmd_completion(CommandLine words);

// A verb as main, its help and shell completion see it.
struct Verb {
  const char* name;
  int (*run)(CommandLine);
  const char* about;
  const char* first_words = "";  // what may stand behind the verb, apart by blanks
};
std::span<const Verb> verb_table();

}  // namespace finback

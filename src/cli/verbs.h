// Every verb of the program: one function, one file cmd_<verb>.cpp. A verb parses its arguments, calls one function of a lower folder and
// prints. Returns the exit code; throws Error for a mistake from outside and UsageError for an unknown flag or a missing argument.
#pragma once
#include <span>
#include <string>

namespace finback {

using Words = std::span<const std::string>;

int cmd_corpus(Words words);
int cmd_tokenizer(Words words);
int cmd_tokenize(Words words);
int cmd_train(Words words);
int cmd_generate(Words words);
int cmd_inspect(Words words);
int cmd_parity(Words words);
int cmd_convert(Words words);
int cmd_plan(Words words);
int cmd_bill(Words words);
int cmd_bench(Words words);
int cmd_chat(Words words);
class Args;
// The conversation of `finback chat`, and of `finback generate --chat` at a terminal: flags of either that do not apply are refused before.
int run_chat(const Args& args);
int cmd_plot(Words words);
int cmd_version(Words words);
int cmd_completion(Words words);

// A verb as main, its help and shell completion see it.
struct Verb {
  const char* name;
  int (*run)(Words);
  const char* about;
  const char* first_words = "";  // what may stand behind the verb, apart by blanks
};
std::span<const Verb> verb_table();

}  // namespace finback

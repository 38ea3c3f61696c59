// finback: finds the verb, and prints the error that ends a run.
#include <ATen/Parallel.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/program_name.h"
#include "base/status_line.h"
#include "cli/standard_streams.h"
#include "cli/verbs.h"
#include "model/tensor_memory.h"

namespace finback {
namespace {

void print_help() {
  std::string text =
      "finback: raw text in, a DeepSeek-architecture model out, and a bill at the end.\n\nusage: finback VERB [ARGUMENTS] [--flags]\n\n";
  for (const Verb& verb : verb_table()) text += fmt::format("  {:<10} {}\n", verb.name, verb.about);
  text +=
      "\nfinback VERB --help explains a verb with an example. Reports go to stdout (--json: one JSON document), progress to stderr.\n"
      "Exit codes: 0 done, 1 a mistake in the input, 2 an unknown verb or flag, 130 stopped by Ctrl-C. NO_COLOR=1: no colours.\n\nexample\n"
      "  finback generate runs/quickstart/latest --prompt \"It was\"\n";
  write_stdout(as_typed(text));
}

// What makes a command of the program's name in a message.
std::vector<std::string> command_words() {
  std::vector<std::string> words = {"VERB"};
  for (const Verb& verb : verb_table()) words.push_back(verb.name);
  return words;
}

int run(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version" || words[0] == "-V" || words[0] == "-v") return cmd_version(CommandLine(words).subspan(1));
  for (const Verb& verb : verb_table()) {
    if (words[0] != verb.name) continue;
    keep_tensor_memory();
    at::set_num_threads(1);  // all parallelism is our pool's
    return verb.run(CommandLine(words).subspan(1));
  }
  std::vector<std::string> names;
  for (const Verb& verb : verb_table()) names.push_back(verb.name);
  const std::string near = nearest_word(words[0], names);
  throw UsageError(
      fmt::format("unknown verb \"{}\"{}. Hint: finback --help", words[0], near.empty() ? "" : ", did you mean " + near + "?"));
}

// libtorch's messages carry a backtrace after the first line.
int fail(int code, const std::string& message) {
  std::fflush(stdout);
  end_status();
  warn("finback: " + message.substr(0, message.find('\n')));
  return code;
}

}  // namespace
}  // namespace finback

int main(int argc, char** argv) {
  finback::open_standard_streams();
  finback::set_program(argc > 0 ? argv[0] : "finback", finback::command_words());
  try {
    const int code = finback::run({argv + 1, argv + argc});
    finback::flush_stdout();
    return code;
  } catch (const finback::UsageError& e) {
    return finback::fail(2, e.what());
  } catch (const finback::Error& e) {
    return finback::fail(1, e.what());
  } catch (const std::bad_alloc&) {
    return finback::fail(1, "out of memory. Hint: a smaller model, batch or --threads");
  } catch (const std::exception& e) {
    return finback::fail(1, e.what());
  }
}

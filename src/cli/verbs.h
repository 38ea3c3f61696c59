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

}  // namespace finback

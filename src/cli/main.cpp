// finback: finds the verb, applies the flags that every verb takes, and is one of the three places that catch errors.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/file.h"
#include "base/pool.h"
#include "cli/verbs.h"
#include "gemm/variant.h"
#include "model/tensor_memory.h"

namespace finback {
namespace {

struct Verb {
  const char* name;
  int (*run)(Words);
  const char* about;
};

constexpr Verb kVerbs[] = {
    {"corpus", cmd_corpus, "build a text corpus from a recipe: fetch, extract, deduplicate, split"},
    {"tokenizer", cmd_tokenizer, "train a byte-level BPE tokenizer; encode and decode with any tokenizer.json"},
    {"tokenize", cmd_tokenize, "turn a corpus into token shards"},
    {"train", cmd_train, "pretrain a model from a recipe; --resume continues exactly"},
    {"generate", cmd_generate, "continue a prompt, or chat"},
    {"inspect", cmd_inspect, "parameters, FLOPs, cache bytes and memory of a model or config.json"},
    {"parity", cmd_parity, "write logits, loss and gradients for comparison with other software"},
    {"convert", cmd_convert, "re-encode a model folder: f32, bf16, fp8"},
    {"plan", cmd_plan, "what a run will cost: step time, memory, hours, energy, dollars; tables of runs; comparisons"},
    {"bill", cmd_bill, "add up what runs cost"},
    {"bench", cmd_bench, "time kernels, a training step, decoding; beside this machine's measured limits"},
};

void print_help() {
  fmt::print(
      "finback: raw text in, a DeepSeek-architecture model out, and a bill at the end.\n\nusage: finback VERB [WORDS] [--flags]\n\n");
  for (const Verb& verb : kVerbs) fmt::print("  {:<10} {}\n", verb.name, verb.about);
  fmt::print(
      "\nfinback VERB --help explains a verb with an example. Reports go to stdout (--json: one JSON document), progress to stderr.\n"
      "Exit codes: 0 done, 1 a mistake in the input, 2 an unknown verb or flag.\n\nexample\n"
      "  finback generate runs/quickstart/latest --prompt \"It was\"\n");
}

// Takes --threads, --kernels, --poison and --failpoint (both spellings of a value) out of the words.
std::vector<std::string> apply_global_flags(const std::vector<std::string>& words) {
  std::vector<std::string> rest;
  std::string kernels = "auto";
  int thread_count = available_cores();
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const bool valued = name == "--threads" || name == "--kernels" || name == "--failpoint";
    if (!valued && word != "--poison") {
      rest.push_back(word);
      continue;
    }
    if (word == "--poison") {  // every uninitialised tensor is NaN
      at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
      at::globalContext().setDeterministicFillUninitializedMemory(true);
      continue;
    }
    if (equals == std::string::npos && i + 1 >= words.size()) throw UsageError(name + " expects a value");
    const std::string value = equals == std::string::npos ? words[++i] : word.substr(equals + 1);
    if (name == "--kernels") kernels = value;
    if (name == "--failpoint") arm_failpoint(value);
    if (name == "--threads") {
      const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), thread_count);
      const bool whole = error == std::errc() && stop == value.data() + value.size();
      FB_CHECK(whole && thread_count >= 1 && thread_count <= 1024, "--threads: expected 1 to 1024, got \"{}\"", value);
    }
  }
  keep_tensor_memory();
  at::set_num_threads(1);  // all parallelism is our pool's
  set_threads(thread_count);
  select_kernels(kernels);
  return rest;
}

int run(const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return words.empty() ? 2 : 0;
  }
  for (const Verb& verb : kVerbs) {
    if (words[0] != verb.name) continue;
    const std::vector<std::string> rest = apply_global_flags({words.begin() + 1, words.end()});
    return verb.run(rest);
  }
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) names.push_back(verb.name);
  const std::string near = nearest_word(words[0], names);
  throw UsageError(
      fmt::format("unknown verb \"{}\"{}. Hint: finback --help", words[0], near.empty() ? "" : ", did you mean " + near + "?"));
}

// libtorch's messages carry a backtrace after the first line.
int fail(int code, const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "finback: {}\n", message.substr(0, message.find('\n')));
  return code;
}

}  // namespace
}  // namespace finback

int main(int argc, char** argv) {
  try {
    const int code = finback::run({argv + 1, argv + argc});
    if (std::fflush(stdout) != 0) return finback::fail(1, fmt::format("standard output: cannot write: {}", std::strerror(errno)));
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

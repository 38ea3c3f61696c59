#include "cli/verbs.h"

namespace finback {
namespace {

constexpr Verb kVerbs[] = {
    {"corpus", cmd_corpus, "build a text corpus from a recipe: fetch, extract, deduplicate, split", "build"},
    {"tokenizer", cmd_tokenizer, "train a byte-level BPE tokenizer; encode and decode with any tokenizer.json",
     "train encode decode bench"},
    {"tokenize", cmd_tokenize, "turn a corpus into token shards"},
    {"train", cmd_train, "pretrain a model from a recipe; --resume continues exactly"},
    {"plot", cmd_plot, "loss curves of runs, in the terminal and as SVG"},
    {"generate", cmd_generate, "continue a prompt, or answer one"},
    {"chat", cmd_chat, "talk with a model: line editor, history, /help"},
    {"inspect", cmd_inspect, "parameters, FLOPs, cache bytes and memory of a model or config.json"},
    {"doctor", cmd_doctor, "will a model folder work here: files, memory, speed, flags"},
    {"parity", cmd_parity, "write logits, loss and gradients for comparison with other software"},
    {"convert", cmd_convert, "re-encode a model folder: f32, bf16, fp8"},
    {"plan", cmd_plan, "what a run will cost: step time, memory, hours, energy, dollars; tables of runs; comparisons"},
    {"bill", cmd_bill, "add up what runs cost"},
    {"bench", cmd_bench, "time kernels, a training step, decoding; beside this machine's measured limits", "step decode cache"},
    {"version", cmd_version, "version, commit, torch, kernel variant"},
    {"completion", cmd_completion, "completion for a shell, made from the tables of --help", "bash zsh fish"},
};

}  // namespace

std::span<const Verb> verb_table() { return kVerbs; }

}  // namespace finback

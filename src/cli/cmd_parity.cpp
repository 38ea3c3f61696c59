// finback parity: what a model computes on given ids, for comparison with other software.
#include <filesystem>

#include "base/fields.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/args.h"
#include "cli/output_file.h"
#include "cli/verbs.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "model/model_folder.h"
#include "model/parity.h"

namespace finback {

int cmd_parity(CommandLine words) {
  Args args(
      "parity MODEL --ids FILE.json --out FILE.safetensors [--grads]\n       finback parity --quantize FILE.safetensors --out "
      "FILE.safetensors",
      "Writes logits [B, S, W], loss [1], mtp_logits.<k> [B, S-1-k, W] and, with --grads, grad.<checkpoint name>, all f32. The ids are\n"
      "[1, 2, ...] or rows of one length; the loss is the mean over all next-token targets of the main head. --quantize writes every "
      "matrix of a file in FP8 instead.",
      "finback parity runs/quickstart/latest --ids ids.json --out ours.safetensors --grads");
  args.flag("quantize", "FILE", "f32 matrices: writes NAME.tile and NAME.block (and _pow2) with their _scale, see tools/parity_fp8")
      .flag("ids", "FILE.json", "token ids")
      .only_of({"MODEL"})
      .flag("out", "FILE.safetensors", "where to write")
      .toggle("grads", "gradients of main loss + mtp-lambda * mean of the MTP losses")
      .only_of({"MODEL"})
      .flag("mtp-lambda", "X", "weight of the MTP losses in the gradients (default 0.3)")
      .only_of({"MODEL"})
      .flag("mla-algebra", "expanded|absorbed", "which form of attention computes them (default expanded)")
      .only_of({"MODEL"})
      .flag("weights", "f32|bf16|fp8|int8", "how the matrices are kept and read (default f32; others without --grads)")
      .only_of({"MODEL"})
      .flag("device", "cpu|cuda", "where to compute (default cpu)")
      .only_of({"MODEL"});
  if (!args.parse(words)) return 0;
  args.at_most(1);
  args.check_mode(args.has("quantize") ? "--quantize" : "MODEL");
  if (args.has("mtp-lambda") && !args.has("grads")) throw UsageError("--mtp-lambda belongs to --grads: it has no effect without");
  if (const auto matrices = args.get("quantize")) {
    if (!args.get("out") || !args.positional().empty()) throw UsageError("finback parity --quantize expects --out and no model");
    check_output(*args.get("out"), {*matrices});
    write_quantized(*matrices, *args.get("out"));
    fmt::print("{}\n", *args.get("out"));
    return 0;
  }
  const std::string given = args.required(0, "a model folder");
  const auto ids_file = args.get("ids"), out_file = args.get("out");
  if (!ids_file || !out_file) throw UsageError("finback parity expects --ids and --out. Hint: finback parity --help");
  const std::string algebra = args.get_or("mla-algebra", "expanded");
  const at::Device device = parse_device(args.get_or("device", "cpu"), "--device");
  FB_CHECK(algebra == "expanded" || algebra == "absorbed", "--mla-algebra: expected expanded or absorbed, got \"{}\"", algebra);
  ParityOptions options;
  options.algebra = algebra == "absorbed" ? MlaAlgebra::kAbsorbed : MlaAlgebra::kExpanded;
  options.gradients = args.has("grads");
  options.mtp_lambda = args.number("mtp-lambda", 0.3, 0, 1e6);
  const Precision weights = parse_precision(args.get_or("weights", "f32"), "--weights");
  FB_CHECK(weights == Precision::kF32 || (device.is_cpu() && !options.gradients), "--weights: expected f32 with --grads or a GPU, got {}",
           precision_name(weights));
  const std::filesystem::path folder = find_model_folder(given);
  check_output(*out_file, {*ids_file});
  const auto ids = read_parity_ids(*ids_file, load_model_config(folder).vocab_size);
  const auto model = load_model(folder, device, options.gradients);
  if (weights != Precision::kF32) model->store_weights(weights);
  Progress progress("computing");
  const double loss = write_parity(*model, ids, options, *out_file);
  progress.vanish();
  fmt::print("{}: loss {:.6f}\n", *out_file, loss);
  return 0;
}

}  // namespace finback

// finback plot: loss curves of runs, in the terminal and as a picture.
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/terminal.h"
#include "cli/args.h"
#include "cli/named_once.h"
#include "cli/output_file.h"
#include "cli/verbs.h"
#include "train/curve_svg.h"
#include "train/curve_text.h"
#include "train/run_curves.h"

namespace finback {

int cmd_plot(CommandLine words) {
  Args args("plot RUN... [--svg FILE.svg]",
            "Draws bits a byte over tokens of one run or several: the training batches (smoothed) and the validation split, in the "
            "terminal's width, and a\n"
            "table below. Reads metrics.jsonl, so unfinished and running runs are shown as far as they are. --svg writes a picture too, "
            "with the\n"
            "routers' balance and MTP's acceptance.",
            "finback plot runs/quickstart --svg quickstart.svg");
  args.flag("svg", "FILE.svg", "also write a picture")
      .flag("key", "bpb|loss|lr|norm|tokens_per_s", "what of the steps is drawn (default bpb, with validation)")
      .flag("width", "N", "columns (default: the terminal's, or 80)")
      .only_of({"RUN"})
      .flag("height", "N", "lines of the plot (default 16)")
      .only_of({"RUN"})
      .toggle("table", "only the evaluations, as a Markdown table")
      .toggle("json", "one JSON document: the curves' points");
  if (!args.parse(words)) return 0;
  args.required(0, "a run folder");
  FB_CHECK(!(args.has("table") && args.has("json")), "--table and --json exclude each other");
  args.check_mode(args.has("table") ? "--table" : args.has("json") ? "--json" : "RUN");
  if (args.has("svg")) check_output(*args.get("svg"), {}, "<svg");
  const std::string key = args.get_or("key", "bpb");
  std::vector<RunCurves> runs;
  for (const std::string& run : named_once(args.positional())) runs.push_back(read_run_curves(run, key));
  CurveTextOptions options;
  options.columns = int(args.integer("width", terminal_columns(STDOUT_FILENO), 20, 1000));
  options.lines = int(args.integer("height", 16, 4, 200));
  options.colours = shows_colours(STDOUT_FILENO);
  if (args.has("json")) {
    fmt::print("{}", dump_json(curves_json(runs)));
  } else {
    fmt::print("{}", args.has("table") ? evaluations_table(runs) : curves_text(runs, options));
  }
  if (!args.has("svg")) return 0;
  write_file_atomic(*args.get("svg"), curves_svg(runs));
  if (!args.has("json")) fmt::print("{}\n", *args.get("svg"));
  return 0;
}

}  // namespace finback

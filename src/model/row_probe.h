// Whether a row's bits depend on the rows beside it, measured on this machine in a few milliseconds for the label `exact` of a run.
// Small shapes with tails in every direction, on the kernel variant that is chosen; knows ops, no layers.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "machine/machine_probe.h"

namespace finback {

// Rows [first, first + rows) of an op's output, computed without the others.
using RowOp = std::function<at::Tensor(int64_t first, int64_t rows)>;
// True when some of `tokens` rows, computed alone or among fewer, have other bits than among all.
bool rows_depend_on_batch(int64_t tokens, const RowOp& op);

// Every op of the forward pass, of both algebras and with weights in every precision and storage, over this many rows.
constexpr int64_t kProbedRows = 79;
void visit_row_ops(const std::function<void(const std::string& name, const RowOp& op)>& visit);

// Those whose rows do; none: exact.
std::vector<std::string> row_dependent_ops();
// This machine as a run on `device` finds it, under the kernel variant that is chosen and, on the CPU, with this verdict: what the label in run
// files says.
MachineProbe probe_machine(const at::Device& device = at::kCPU);

}  // namespace finback

// Curves of runs as an SVG picture: bits a byte (training, validation), the routers' balance, MTP's acceptance, each over trained tokens. Pure.
#pragma once
#include <string>
#include <vector>

#include "train/run_curves.h"

namespace finback {

std::string curves_svg(const std::vector<RunCurves>& runs);

}  // namespace finback

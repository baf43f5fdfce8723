#include "cuda/tuning/describe.h"

#include <cstdio>

namespace sknet::cuda {

namespace {

std::string flags(const Conv2dFusion& fusion) {
  const auto& [x_rows, x_norm, x_branches, statistics, y_norm, dy_norm, close] = fusion;
  std::string text;
  if (x_rows) text += " x_rows";
  if (x_norm) text += " x_norm";
  if (x_branches > 0) text += " x_branches" + std::to_string(x_branches);
  if (statistics) text += " statistics";
  if (y_norm) text += " y_norm";
  if (dy_norm) text += " dy_norm";
  if (close) text += " close";
  return text;
}

}  // namespace

std::string describe(const Conv2dProblem& p) {
  char text[160];
  std::snprintf(text, sizeof(text), "%dx%dx%dx%d->%dx%dx%d k%d s%d p%d d%d g%d", p.n, p.h, p.w, p.c, p.oh, p.ow, p.out, p.kernel, p.stride,
                p.padding, p.dilation, p.groups);
  return text + flags(p.fusion);
}

std::string describe(const SkSplitProblem& p) {
  std::string text;
  for (int m = 0; m < p.branches; ++m) text += (m == 0 ? "" : " + ") + describe(p.conv[m]);
  if (p.x_norm) text += " x_norm";
  if (p.close) text += " close";
  return text;
}

std::string describe(const SkSelectProblem& p) {
  return std::to_string(p.n) + "x" + std::to_string(p.hw) + "x" + std::to_string(p.c) + " m" + std::to_string(p.branches);
}

std::string describe(const BatchNormProblem& p) { return std::to_string(p.n) + "x" + std::to_string(p.hw) + "x" + std::to_string(p.c); }

}  // namespace sknet::cuda

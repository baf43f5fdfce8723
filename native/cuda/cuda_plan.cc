#include "cuda/cuda_plan.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.h"
#include "cuda/device.h"
#include "cuda/image_rows.h"
#include "cuda/registry_cuda.h"
#include "cuda/tuning/environment.h"
#include "cuda/tuning/timed_chooser.h"
#include "plan/shard_tree.h"

namespace sknet::cuda {

namespace {

bool use_graphs() {
  const char* text = std::getenv("SKNET_CUDA_GRAPHS");
  return text == nullptr || std::strcmp(text, "0") != 0;
}

// Candidates are timed on the device before the plan takes memory of it.
plan::Program make_program(const plan::PlanSpec& spec) {
  const OpTable& table = cuda_op_table(spec.precision);
  if (!times_candidates()) return plan::Program(spec, table, 1);
  TimedChooser chooser(spec.precision, !plan::keeps_packed(spec));
  return plan::Program(spec, table, 1, chooser);
}

// For ShardTree.
struct Floats {
  cudaStream_t stream;
  void copy(float* to, const float* from, int64_t n) const {
    check_cuda(cudaMemcpyAsync(to, from, static_cast<size_t>(n) * sizeof(float), cudaMemcpyDeviceToDevice, stream), "copying results");
  }
  void add(float* to, const float* from, int64_t n) const { add_floats(to, from, n, stream); }
};

}  // namespace

CudaPlan::CudaPlan(const plan::PlanSpec& spec, int device)
    : device_(use_device(device)),
      program_(make_program(spec)),
      footprint_(program_),
      graphs_(use_graphs() && !spec.time_steps),
      compute_(make_stream()),
      copy_(make_stream()) {
  allocate();
  exec_.workspace = a_.workspace;
  exec_.stream = compute_.get();
  bind_steps();
  if (spec.time_steps) timer_.emplace(program_.steps.size());
}

CudaPlan::~CudaPlan() {
  // Memory must not go while the device works with it.
  (void)cudaSetDevice(device_);
  (void)cudaStreamSynchronize(copy_.get());
  (void)cudaStreamSynchronize(compute_.get());
}

void CudaPlan::allocate() {
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, static_cast<size_t>(footprint_.total));
  if (error == cudaErrorMemoryAllocation) throw_does_not_fit(spec(), footprint_.total);
  check_cuda(error, "allocating memory");
  memory_.reset(static_cast<char*>(p));
  check_cuda(cudaMemsetAsync(p, 0, static_cast<size_t>(footprint_.total), compute_.get()), "clearing memory");

  a_ = program_.addresses(memory_.get());
  at_ = program_.memory(a_);
  char* next = memory_.get() + whole_memory_lines(program_.bytes());
  control_ = reinterpret_cast<UpdateControl*>(std::exchange(next, next + kMemoryLine));
  staging_ = reinterpret_cast<float*>(std::exchange(next, next + footprint_.staging));
  make_slots(next);
  arm();
}

void CudaPlan::make_slots(char* next) {
  const int64_t input = footprint_.images + footprint_.labels;
  slots_.resize(static_cast<size_t>(footprint_.slots));
  for (Slot& slot : slots_) {
    slot.host = pinned(static_cast<size_t>(input) + sizeof(Letter));
    slot.host_images = reinterpret_cast<float*>(slot.host.get());
    slot.host_labels = reinterpret_cast<int32_t*>(slot.host.get() + footprint_.images);
    slot.letter = reinterpret_cast<Letter*>(slot.host.get() + input);
    slot.images = reinterpret_cast<float*>(std::exchange(next, next + footprint_.images));
    slot.labels = reinterpret_cast<int32_t*>(std::exchange(next, next + footprint_.labels));
    slot.copied = make_event();
    slot.done = make_event();
  }
}

void CudaPlan::arm() {
  const UpdateControl fresh{};
  check_cuda(cudaMemcpyAsync(control_, &fresh, sizeof(fresh), cudaMemcpyHostToDevice, compute_.get()), "writing to the device");
  wait(compute_.get());
}

void CudaPlan::bind_steps() {
  const std::vector<int64_t> packed = program_.packed_offsets();
  for (size_t i = 0; i < program_.steps.size(); ++i) {
    const plan::Step& step = program_.steps[i];
    if (step.bind) bound_.push_back({step.info.phase, step.bind(at_), a_.packed + packed[i]});
  }
}

std::vector<plan::StepInfo> CudaPlan::steps() const {
  std::vector<plan::StepInfo> infos;
  for (const plan::Step& step : program_.steps) {
    infos.push_back(step.info);
    if (timer_) infos.back().seconds = timer_->seconds(infos.size() - 1);
  }
  return infos;
}

plan::MemoryReport CudaPlan::memory() const {
  plan::MemoryReport report = program_.report;
  const int64_t beside = footprint_.total - report.total;
  report.activations += beside;
  report.total += beside;
  return report;
}

void CudaPlan::enter() const { check_cuda(cudaSetDevice(device_), "choosing the device"); }

void CudaPlan::wait(cudaStream_t stream) { check_cuda(cudaStreamSynchronize(stream), "running"); }

bool CudaPlan::read(plan::Section section, const plan::Tensor& tensor, float* data) {
  const float* from = program_.section(a_, section, tensor);
  if (from == nullptr) return false;
  enter();
  const size_t bytes = static_cast<size_t>(tensor.size()) * sizeof(float);
  check_cuda(cudaMemcpyAsync(data, from, bytes, cudaMemcpyDeviceToHost, compute_.get()), "reading from the device");
  wait(compute_.get());
  return true;
}

bool CudaPlan::write(plan::Section section, const plan::Tensor& tensor, const float* data) {
  float* to = program_.section(a_, section, tensor);
  if (to == nullptr) return false;
  enter();
  packed_is_old_ = true;
  const size_t bytes = static_cast<size_t>(tensor.size()) * sizeof(float);
  check_cuda(cudaMemcpyAsync(to, data, bytes, cudaMemcpyHostToDevice, compute_.get()), "writing to the device");
  wait(compute_.get());
  return true;
}

void CudaPlan::fill(Slot& slot, const float* images, const int32_t* labels, int count) {
  const int64_t image = graph().input.size() / graph().input.n;
  std::copy_n(images, count * image, slot.host_images);
  for (int n = count; n < batch(); ++n) std::copy_n(images + (count - 1) * image, image, slot.host_images + n * image);
  std::fill_n(slot.host_labels, batch(), -1);
  if (labels != nullptr) std::copy_n(labels, count, slot.host_labels);
  check_cuda(cudaMemcpyAsync(slot.images, slot.host_images, static_cast<size_t>(footprint_.images + footprint_.labels),
                             cudaMemcpyHostToDevice, copy_.get()),
             "copying a batch to the device");
  check_cuda(cudaEventRecord(slot.copied.get(), copy_.get()), "copying a batch to the device");
  check_cuda(cudaStreamWaitEvent(compute_.get(), slot.copied.get(), 0), "waiting for a batch");
}

void CudaPlan::launch(Slot& slot, Graph& graph, Record record) {
  if (!graphs_) {
    (this->*record)(slot);
    check_cuda(cudaGetLastError(), "starting a kernel");
    return;
  }
  if (graph == nullptr) {
    graph = capture(compute_.get(), [&] {
      (this->*record)(slot);
      check_cuda(cudaGetLastError(), "starting a kernel");
    });
  }
  check_cuda(cudaGraphLaunch(graph.get(), compute_.get()), "starting a step");
}

void CudaPlan::run_bound(size_t index) {
  const Bound& step = bound_[index];
  exec_.packed = step.packed;
  if (!program_.keeps_packed() && step.calls.pack) step.calls.pack(exec_);
  step.calls.run(exec_);
  if (timer_) timer_->mark(index, compute_.get());
}

void CudaPlan::start_timer() {
  if (timer_) timer_->start(compute_.get());
}

void CudaPlan::run_phase(plan::Phase phase) {
  for (size_t i = 0; i < bound_.size(); ++i) {
    if (bound_[i].phase == phase) run_bound(i);
  }
}

void CudaPlan::pack_all() {
  if (!program_.keeps_packed()) return;
  for (const Bound& step : bound_) {
    exec_.packed = step.packed;
    if (step.calls.pack) step.calls.pack(exec_);
  }
}

void CudaPlan::load(const Slot& slot, int shard) {
  const plan::Shape& in = graph().input;
  const float* images = slot.images + shard * in.size();
  if (program_.input_rows) {
    check_cuda(cudaMemcpyAsync(at_(program_.input), images, static_cast<size_t>(in.size()) * sizeof(float), cudaMemcpyDeviceToDevice,
                               compute_.get()),
               "loading images");
  } else {
    rows_in(images, in.rows(), in.c, program_.layout, at_(program_.input), compute_.get());
  }
  const int32_t* labels = slot.labels + static_cast<int64_t>(shard) * spec().shard_size;
  check_cuda(cudaMemcpyAsync(a_.labels, labels, static_cast<size_t>(spec().shard_size) * sizeof(int32_t), cudaMemcpyDeviceToDevice,
                             compute_.get()),
             "loading labels");
}

void CudaPlan::send_letter(Slot& slot) {
  const auto send = [&](void* to, const void* from, size_t bytes) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, compute_.get()), "reading a step's numbers");
  };
  send(slot.letter->totals, a_.results + program_.totals_at, sizeof(slot.letter->totals));
  send(&slot.letter->control, control_, sizeof(UpdateControl));
}

void CudaPlan::record_step(Slot& slot) {
  check_cuda(cudaMemcpyAsync(&control_->lr, &slot.letter->lr, sizeof(float), cudaMemcpyHostToDevice, compute_.get()),
             "writing the learning rate");
  pack_all();
  plan::ShardTree tree(Floats{compute_.get()}, a_.stack, program_.sizes.results);
  for (int shard = 0; shard < spec().shards; ++shard) {
    load(slot, shard);
    start_timer();
    for (size_t i = 0; i < bound_.size(); ++i) run_bound(i);
    if (shard + 1 < spec().shards) tree.add(a_.results, shard);
  }
  tree.finish(a_.results, spec().shards);
  start_timer();
  program_.update->run(exec_, {a_.tensors, a_.results, a_.momentum, a_.ema, a_.results + program_.totals_at, control_}, spec().shards);
  if (timer_) timer_->mark(bound_.size(), compute_.get());
  send_letter(slot);
}

void CudaPlan::record_infer(Slot& slot) {
  load(slot, 0);
  start_timer();
  run_phase(plan::Phase::kForward);
}

void CudaPlan::record_evaluate(Slot& slot) {
  record_infer(slot);
  run_phase(plan::Phase::kLoss);
  send_letter(slot);
}

void CudaPlan::submit(const float* images, const int32_t* labels, float lr) {
  check(spec().mode == plan::Mode::kTrain, "ERR_SKNET_NATIVE", "this plan does not train");
  check(under_way_.size() < slots_.size(), "ERR_SKNET_NATIVE", "too many steps are under way");
  enter();
  Slot& slot = slots_[next_slot_];
  if (under_way_.empty() && std::exchange(stopped_, false)) arm();
  slot.letter->lr = lr;
  fill(slot, images, labels, batch());
  launch(slot, slot.step, &CudaPlan::record_step);
  check_cuda(cudaEventRecord(slot.done.get(), compute_.get()), "starting a step");
  under_way_.push_back(next_slot_);
  next_slot_ = (next_slot_ + 1) % slots_.size();
}

plan::StepOutcome CudaPlan::collect() {
  check(!under_way_.empty(), "ERR_SKNET_NATIVE", "no step is under way");
  enter();
  const Slot& slot = slots_[under_way_.front()];
  under_way_.pop_front();
  check_cuda(cudaEventSynchronize(slot.done.get()), "running a step");
  if (timer_) timer_->collect();
  const Letter& letter = *slot.letter;
  if (letter.control.live == 0) stopped_ = true;
  return {.totals = {letter.totals[0] / static_cast<double>(batch()), static_cast<int64_t>(letter.totals[1]),
                     static_cast<int64_t>(letter.totals[2])},
          .gradient_norm = letter.control.gradient_norm,
          .finite = letter.control.live != 0};
}

plan::Totals CudaPlan::evaluate(const float* images, const int32_t* labels, int count) {
  check(spec().mode == plan::Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not evaluate");
  enter();
  Slot& slot = slots_.front();
  if (std::exchange(packed_is_old_, false)) pack_all();
  fill(slot, images, labels, count);
  launch(slot, slot.evaluate, &CudaPlan::record_evaluate);
  wait(compute_.get());
  if (timer_) timer_->collect();
  const float* totals = slot.letter->totals;
  return {totals[0], static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])};
}

void CudaPlan::infer(const float* images, int count, float* out) {
  check(spec().mode == plan::Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not infer");
  enter();
  Slot& slot = slots_.front();
  if (std::exchange(packed_is_old_, false)) pack_all();
  fill(slot, images, nullptr, count);
  launch(slot, slot.infer, &CudaPlan::record_infer);
  read_rows(program_.output, output_shape(), count, out);
  if (timer_) timer_->collect();
}

void CudaPlan::read_rows(const plan::Ref& ref, const plan::Shape& shape, int count, float* rows) {
  const int64_t each = static_cast<int64_t>(shape.h) * shape.w, size = count * each * shape.c;
  rows_out(at_(ref), count * each, shape.c, program_.layout, staging_, compute_.get());
  check_cuda(cudaMemcpyAsync(rows, staging_, static_cast<size_t>(size) * sizeof(float), cudaMemcpyDeviceToHost, compute_.get()),
             "reading from the device");
  wait(compute_.get());
}

void CudaPlan::block_forward(const float* x, float* y) {
  check(spec().mode == plan::Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  enter();
  Slot& slot = slots_.front();
  fill(slot, x, nullptr, spec().shard_size);
  load(slot, 0);
  start_timer();
  run_phase(plan::Phase::kForward);
  program_.update->update_statistics(exec_, {.values = a_.tensors, .results = a_.results}, 1);
  check_cuda(cudaGetLastError(), "starting a kernel");
  read_rows(program_.output, output_shape(), spec().shard_size, y);
  if (timer_) timer_->collect();
}

void CudaPlan::block_backward(const float* dy, float* dx) {
  check(spec().mode == plan::Mode::kBlock, "ERR_SKNET_NATIVE", "this plan has no block mode");
  enter();
  const plan::Shape y = output_shape();
  check_cuda(cudaMemcpyAsync(staging_, dy, static_cast<size_t>(y.size()) * sizeof(float), cudaMemcpyHostToDevice, compute_.get()),
             "writing to the device");
  rows_in(staging_, y.rows(), y.c, program_.layout, at_(program_.output_gradient), compute_.get());
  start_timer();
  run_phase(plan::Phase::kBackward);
  check_cuda(cudaGetLastError(), "starting a kernel");
  read_rows(program_.input_gradient, graph().input, spec().shard_size, dx);
  if (timer_) timer_->collect();
}

}  // namespace sknet::cuda

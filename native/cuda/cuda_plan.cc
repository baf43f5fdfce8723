#include "cuda/cuda_plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "cuda/device.h"
#include "cuda/image_rows.h"
#include "cuda/launches.h"
#include "cuda/pictures.h"
#include "cuda/registry_cuda.h"
#include "cuda/tuning/environment.h"
#include "cuda/tuning/timed_chooser.h"
#include "plan/fingerprint.h"
#include "plan/shard_tree.h"

namespace sknet::cuda {

namespace {

// Candidates are timed on the device before the plan takes memory of it.
plan::Program make_program(const plan::PlanSpec& spec) {
  const OpTable& table = cuda_op_table(spec.precision);
  if (!times_candidates()) return plan::Program(spec, table, 1);
  TimedChooser chooser(spec.precision, !plan::keeps_packed(spec));
  return plan::Program(spec, table, 1, chooser);
}

// Batches on the device and the like count as activations.
plan::MemoryReport report_of(const plan::Program& program, const Footprint& footprint) {
  plan::MemoryReport report = program.report;
  const int64_t beside = footprint.total - report.total;
  report.activations += beside;
  report.total += beside;
  return report;
}

constexpr int64_t kLeastBucket = int64_t{64} << 10;  // bytes that ranks sum in one go

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
      graphs_(records_steps(spec)),
      compute_(make_stream()) {
  check_input();
  allocate();
  exec_.workspace = a_.workspace;
  exec_.stream = compute_.get();
  bind_steps();
  if (spec.time_steps) timer_.emplace(program_.steps.size());
  if (spec.ranks.count > 1) {
    check(spec.mode == plan::Mode::kTrain, "ERR_SKNET_NATIVE", "several ranks train; this plan does not");
    buckets_ = plan::result_buckets(program_, kLeastBucket);
    rank_sums_.emplace(spec.ranks, buckets_);
    rank_sums_->compare(plan::fingerprint(spec));
    rank_sums_->connect(a_.results);
  } else {
    buckets_ = {plan::whole_results(program_)};
  }
}

CudaPlan::~CudaPlan() {
  // Memory must not go while the device works with it.
  (void)cudaSetDevice(device_);
  inputs_.reset();
  (void)cudaStreamSynchronize(compute_.get());
  // NCCL waits for the graphs that it has a part in.
  step_graphs_.clear();
  launch_graphs_.clear();
  rank_sums_.reset();
}

void CudaPlan::check_input() const {
  const plan::PlanSpec& s = spec();
  if (s.image_bytes == 0) return;
  const int64_t least = picture_bytes(int64_t{3} * s.height * s.width);
  check(s.channels == 3 && s.mode != plan::Mode::kBlock && s.image_bytes >= least, "ERR_SKNET_NATIVE",
        "a plan of batches of bytes trains or evaluates on 3 channels and takes at least " + std::to_string(least) + " bytes an image");
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
  inputs_.emplace(spec(), graph(), footprint_, next);
  step_graphs_.resize(inputs_->places());
  launch_graphs_.resize(footprint_.per_launch > 1 ? static_cast<size_t>(footprint_.slots / footprint_.per_launch) : 0);
  slots_.resize(static_cast<size_t>(footprint_.slots));
  for (Slot& slot : slots_) {
    slot.memory = pinned(sizeof(Letter));
    slot.letter = reinterpret_cast<Letter*>(slot.memory.get());
    slot.done = make_event();
  }
  arm();
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
    if (step.bind) bound_.push_back({step.info.phase, step.bind(at_), a_.packed + packed[i], program_.workspace(a_, step)});
  }
}

std::vector<plan::StepInfo> CudaPlan::steps() const {
  std::vector<plan::StepInfo> infos;
  for (const plan::Step& step : program_.steps) {
    infos.push_back(step.info);
    if (step.info.phase == plan::Phase::kUpdate && footprint_.per_launch > 1) {
      infos.back().note = std::to_string(footprint_.per_launch) + " steps a launch";
    }
    if (timer_) infos.back().seconds = timer_->seconds(infos.size() - 1);
  }
  return infos;
}

plan::MemoryReport CudaPlan::memory() const { return report_of(program_, footprint_); }

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

void CudaPlan::launch(size_t place, Graph& graph, Record record) {
  if (!graphs_) {
    (this->*record)(place);
    check_cuda(cudaGetLastError(), "starting a kernel");
    return;
  }
  if (graph == nullptr) {
    graph = capture(compute_.get(), [&] {
      (this->*record)(place);
      check_cuda(cudaGetLastError(), "starting a kernel");
    });
  }
  check_cuda(cudaGraphLaunch(graph.get(), compute_.get()), "starting a step");
}

void CudaPlan::run_bound(size_t index) {
  const Bound& step = bound_[index];
  Exec exec = exec_;
  exec.packed = step.packed;
  exec.workspace = step.workspace;
  if (!program_.keeps_packed() && step.calls.pack) step.calls.pack(exec);
  step.calls.run(exec);
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

void CudaPlan::load(size_t index, int shard) {
  const Place& place = inputs_->place(index);
  const plan::Shape& in = graph().input;
  const int64_t size = spec().shard_size, first = shard * size;
  void* const to = at_(program_.input);
  const auto copy = [&](void* target, const void* from, int64_t floats) {
    check_cuda(cudaMemcpyAsync(target, from, static_cast<size_t>(floats) * sizeof(float), cudaMemcpyDeviceToDevice, compute_.get()),
               "loading a batch");
  };
  if (spec().image_bytes > 0) {
    pictures_in(place.pictures, first, size, in.h, in.w, program_.input_rows, program_.layout, to, compute_.get());
  } else if (program_.input_rows) {
    copy(to, place.images + shard * in.size(), in.size());
  } else {
    rows_in(place.images + shard * in.size(), in.rows(), in.c, program_.layout, to, compute_.get());
  }
  copy(a_.labels, place.labels + first, size);
  copy(a_.labels + size, place.labels2 + first, size);
  copy(a_.labels + 2 * size, place.mix + first, size);
}

void CudaPlan::send_letter(Slot& slot) {
  const auto send = [&](void* to, const void* from, size_t bytes) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, compute_.get()), "reading a step's numbers");
  };
  send(slot.letter->totals, a_.results + program_.totals_at, sizeof(slot.letter->totals));
  send(&slot.letter->control, control_, sizeof(UpdateControl));
}

void CudaPlan::record_step(size_t place) {
  pack_all();
  plan::ShardTree tree(Floats{compute_.get()}, a_.stack, program_.sizes.results, program_.sizes.results);
  const int last = spec().shards - 1;
  for (int shard = 0; shard <= last; ++shard) {
    if (spec().shards > 1) load(place, shard);
    start_timer();
    size_t bucket = 0;
    for (size_t i = 0; i < bound_.size(); ++i) {
      run_bound(i);
      while (shard == last && bucket < buckets_.size() && buckets_[bucket].after == i) finish_bucket(bucket++);
    }
    if (shard < last) tree.add(a_.results, shard);
  }
  if (rank_sums_) rank_sums_->join(compute_.get());
  start_timer();
  program_.update->run(exec_, {a_.tensors, a_.results, a_.momentum, a_.ema, a_.results + program_.totals_at, control_},
                       spec().shards * spec().ranks.count);
  if (timer_) timer_->mark(bound_.size(), compute_.get());
}

void CudaPlan::finish_bucket(size_t index) {
  const plan::Bucket& bucket = buckets_[index];
  plan::ShardTree tree(Floats{compute_.get()}, a_.stack + bucket.first, program_.sizes.results, bucket.floats);
  tree.finish(a_.results + bucket.first, spec().shards);
  if (rank_sums_) rank_sums_->start(index, a_.results, compute_.get());
}

void CudaPlan::record_infer(size_t) {
  start_timer();
  run_phase(plan::Phase::kForward);
}

void CudaPlan::record_evaluate(size_t place) {
  record_infer(place);
  run_phase(plan::Phase::kLoss);
}

void CudaPlan::check_room() const {
  check(static_cast<int>(under_way_.size()) < depth(), "ERR_SKNET_NATIVE", "as many steps are under way as can be");
}

void CudaPlan::finish_start(Slot& slot) { check_cuda(cudaEventRecord(slot.done.get(), compute_.get()), "starting a step"); }

void CudaPlan::set_rate(const Slot& slot) {
  check_cuda(cudaMemcpyAsync(&control_->lr, &slot.letter->lr, sizeof(float), cudaMemcpyHostToDevice, compute_.get()),
             "writing the learning rate");
}

void CudaPlan::record_slot(size_t slot) {
  set_rate(slots_[slot]);
  if (spec().shards == 1) load(slot, 0);
  record_step(slot);
  send_letter(slots_[slot]);
}

void CudaPlan::record_launch(size_t first_slot) {
  for (size_t i = 0; i < static_cast<size_t>(footprint_.per_launch); ++i) record_slot(first_slot + i);
}

void CudaPlan::start(const Images& images, const plan::Targets& targets, float lr) {
  check(spec().mode == plan::Mode::kTrain, "ERR_SKNET_NATIVE", "this plan does not train");
  check_room();
  enter();
  if (rank_sums_) rank_sums_->check();
  const size_t slot = next_slot_, each = static_cast<size_t>(footprint_.per_launch);
  inputs_->send(slot, each > 1 ? slot : next_place_, images, targets, batch(), compute_.get());
  if (under_way_.empty() && std::exchange(stopped_, false)) arm();
  slots_[slot].letter->lr = lr;
  if (each == 1) launch_alone(slot);
  under_way_.push_back(slot);
  next_slot_ = (slot + 1) % slots_.size();
  if (each > 1 && ++waiting_ == each) launch_waiting();
}

void CudaPlan::launch_alone(size_t slot) {
  const size_t place = std::exchange(next_place_, (next_place_ + 1) % inputs_->places());
  set_rate(slots_[slot]);
  if (spec().shards == 1) {
    load(place, 0);
    inputs_->release(place, compute_.get());
  }
  launch(place, step_graphs_[place], &CudaPlan::record_step);
  if (spec().shards > 1) inputs_->release(place, compute_.get());
  send_letter(slots_[slot]);
  finish_start(slots_[slot]);
}

void CudaPlan::launch_waiting() {
  const size_t each = static_cast<size_t>(footprint_.per_launch), first = under_way_[under_way_.size() - waiting_];
  if (waiting_ == each) launch(first, launch_graphs_[first / each], &CudaPlan::record_launch);
  for (size_t slot = first; slot < first + waiting_; ++slot) {
    if (waiting_ < each) launch(slot, step_graphs_[slot], &CudaPlan::record_slot);
    inputs_->release(slot, compute_.get());
    finish_start(slots_[slot]);
    slots_[slot].together = waiting_ < each ? 1 : slot == first ? footprint_.per_launch : 0;
  }
  waiting_ = 0;
  next_slot_ = (first + each) % slots_.size();
}

CudaPlan::Slot& CudaPlan::wait_for_oldest() {
  check(!under_way_.empty(), "ERR_SKNET_NATIVE", "no step is under way");
  enter();
  if (waiting_ == under_way_.size()) launch_waiting();
  Slot& slot = slots_[under_way_.front()];
  under_way_.pop_front();
  if (rank_sums_) {
    rank_sums_->wait(slot.done.get());
  } else {
    check_cuda(cudaEventSynchronize(slot.done.get()), "running a step");
  }
  if (timer_) timer_->collect();
  return slot;
}

plan::StepOutcome CudaPlan::collect() {
  const Slot& slot = wait_for_oldest();
  const Letter& letter = *slot.letter;
  if (letter.control.live == 0) stopped_ = true;
  return {.totals = {letter.totals[0] / static_cast<double>(global_batch()), static_cast<int64_t>(letter.totals[1]),
                     static_cast<int64_t>(letter.totals[2])},
          .gradient_norm = letter.control.gradient_norm,
          .finite = letter.control.live != 0,
          .together = slot.together};
}

void CudaPlan::load_one(size_t slot, const Images& images, const int32_t* labels, int count) {
  enter();
  if (std::exchange(packed_is_old_, false)) pack_all();
  inputs_->send(slot, 0, images, {labels}, count, compute_.get());
  load(0, 0);
  inputs_->release(0, compute_.get());
}

void CudaPlan::judge(const Images& images, const int32_t* labels, int count) {
  check(spec().mode == plan::Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not evaluate");
  check_room();
  load_one(next_slot_, images, labels, count);
  launch(0, evaluate_graph_, &CudaPlan::record_evaluate);
  send_letter(slots_[next_slot_]);
  finish_start(slots_[next_slot_]);
  under_way_.push_back(next_slot_);
  next_slot_ = (next_slot_ + 1) % slots_.size();
}

plan::Totals CudaPlan::collect_evaluation() {
  const float* totals = wait_for_oldest().letter->totals;
  return {totals[0], static_cast<int64_t>(totals[1]), static_cast<int64_t>(totals[2])};
}

void CudaPlan::infer(const float* images, int count, float* out) {
  check(spec().mode == plan::Mode::kInfer, "ERR_SKNET_NATIVE", "this plan does not infer");
  load_one(0, {.floats = images}, nullptr, count);
  launch(0, infer_graph_, &CudaPlan::record_infer);
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
  load_one(0, {.floats = x}, nullptr, spec().shard_size);
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

plan::MemoryReport cuda_plan_memory(const plan::PlanSpec& spec, int device) {
  (void)use_device(device);
  const plan::Program program = make_program(spec);
  return report_of(program, Footprint(program));
}

}  // namespace sknet::cuda

#ifndef API_JOB_H
#define API_JOB_H

#include <exception>
#include <llm/engine.hpp>

#include "engine/engine_core.h"

namespace llm::api {

// A queued piece of work: what it runs in the engine, and what is told to the caller when it ends.
class Job {
 public:
  virtual ~Job() = default;
  // Hands sequences to the engine. Called once, before anything else.
  virtual void start(engine::EngineCore& core) = 0;
  // After every step of the engine.
  virtual void after_step(engine::EngineCore&) {}
  // Takes back what is still in the engine. Called before cancel() and before deliver().
  virtual void leave(engine::EngineCore& core) = 0;
  // It cannot go on.
  virtual void fail(const std::exception_ptr& error) = 0;
  // The caller asked to stop.
  virtual void cancel() = 0;
  // Calls the caller back. Called once, outside of the engine.
  virtual void deliver() = 0;

  bool ended() const { return ended_; }

  Engine::Ticket ticket = 0;

 protected:
  bool ended_ = false;
};

// A job that is the client of one sequence, which is gone when the job has ended.
class SequenceJob : public Job, public engine::SequenceClient {
 public:
  // What to run.
  virtual engine::SequenceOptions sequence() = 0;
  void fail(const std::exception_ptr& error) override = 0;

  void start(engine::EngineCore& core) override { sequence_id_ = core.add(sequence(), *this); }
  void leave(engine::EngineCore& core) override {
    if (sequence_id_ != 0 && !ended_) core.remove(sequence_id_);
  }

 private:
  engine::EngineCore::Id sequence_id_ = 0;
};

// One line for a result, and its kind.
inline Error error_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return e;
  } catch (const std::exception& e) {
    return {ErrorCode::internal, e.what()};
  } catch (...) {
    return {ErrorCode::internal, "an unknown exception"};
  }
}

}  // namespace llm::api

#endif

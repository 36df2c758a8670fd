/* Tasks: a queue for each model, and a worker thread for each task that it runs at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stand_in.h"

static Task *tasks[MAX_TASKS]; /* those that their caller has not released */
static hbDNNInferCtrlParam last_control;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct timespec as_timespec(int64_t ns) {
  return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void sleep_until(int64_t ns) {
  struct timespec until = as_timespec(ns);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

static void init_monotonic(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &attributes);
  pthread_condattr_destroy(&attributes);
}

static int32_t slot_of(const Task *task) {
  for (int32_t i = 0; i < MAX_TASKS; i++)
    if (tasks[i] == task) return i;
  return -1;
}

bool has_live_tasks(const Model *model) {
  for (int32_t i = 0; i < MAX_TASKS; i++)
    if (tasks[i] && tasks[i]->model == model) return true;
  return false;
}

static void destroy(Task *task) {
  pthread_cond_destroy(&task->changed);
  free(task);
}

/* Runs the network on what the BPU sees of the input; the results are the caller's to free. */
static int32_t compute(const Task *task, void **results) {
  const Model *model = task->model;
  const uint8_t *y, *uv;
  int32_t pitch, height, width;
  pthread_mutex_lock(&stand_in_lock);
  Network network = stand_in_network;
  int32_t code = input_planes(task, &y, &uv, &pitch, &height, &width);
  pthread_mutex_unlock(&stand_in_lock);
  if (code || !network) return HB_DNN_RUN_TASK_FAILED;
  for (int32_t i = 0; i < model->info->outputs; i++) {
    results[i] = malloc(model->outputs[i].bytes);
    if (!results[i]) return HB_DNN_OUT_OF_MEMORY;
    memset(results[i], 0x7B, model->outputs[i].bytes); /* what padding is left with */
  }
  return network(y, pitch, uv, pitch, height, width, results) ? HB_DNN_RUN_TASK_FAILED : HB_OK;
}

static void write_outputs(const Task *task, void **results) {
  const Model *model = task->model;
  for (int32_t i = 0; i < model->info->outputs; i++) {
    const FileTensor *info = &model->outputs[i];
    const uint8_t *source =
        model->info->callback ? results[i] : model->packed->data + info->data_at;
    const void **holds;
    pthread_mutex_lock(&stand_in_lock);
    uint8_t *memory = device_memory(task->outputs[i].sysMem[0].phyAddr, info->bytes, &holds);
    if (!memory) {
      stand_in_now.writes_to_freed++;
    } else if (*holds != source || model->info->callback) {
      /* Recorded outputs that are there already cost nothing: the time is to be the latency's. */
      memcpy(memory, source, info->bytes);
      *holds = model->info->callback ? NULL : source;
    }
    pthread_mutex_unlock(&stand_in_lock);
  }
}

/* Returns when the worker is free again, ns. */
static int64_t run(Task *task, int64_t free_at) {
  const Model *model = task->model;
  int64_t latency = model->info->latency_us * 1000LL;
  /* From the end of the task before, not from when this thread woke up: no time gets lost. */
  int64_t end = (task->queued_at > free_at ? task->queued_at : free_at) + latency;
  void *results[MAX_TENSORS] = {NULL};
  int32_t code = task->code;
  if (!code && model->info->callback) {
    code = compute(task, results);
    if (end < now_ns()) end = now_ns();
  }
  if (task->hangs) {
    pthread_mutex_lock(&stand_in_lock);
    while (!task->released) pthread_cond_wait(&task->changed, &stand_in_lock);
    pthread_mutex_unlock(&stand_in_lock);
    end = now_ns() + latency;
  }
  sleep_until(end);
  if (!code) write_outputs(task, results);
  for (int32_t i = 0; i < model->info->outputs; i++) free(results[i]);
  task->code = code;
  return end;
}

static void *work(void *argument) {
  Model *model = argument;
  int64_t free_at = 0;
  pthread_mutex_lock(&stand_in_lock);
  for (;;) {
    while (!model->queue && !model->stopping)
      pthread_cond_wait(&model->queued, &stand_in_lock);
    Task *task = model->queue;
    if (!task) break;
    model->queue = task->next;
    task->state = RUNNING;
    stand_in_now.running++;
    pthread_mutex_unlock(&stand_in_lock);
    free_at = run(task, free_at);
    pthread_mutex_lock(&stand_in_lock);
    stand_in_now.running--;
    stand_in_now.completed++;
    task->state = DONE;
    pthread_cond_broadcast(&task->changed);
    if (task->released) destroy(task);
  }
  pthread_mutex_unlock(&stand_in_lock);
  return NULL;
}

int32_t start_workers(Model *model) {
  init_monotonic(&model->queued);
  for (model->started = 0; model->started < model->info->concurrency; model->started++)
    if (pthread_create(&model->workers[model->started], NULL, work, model))
      return HB_DNN_OUT_OF_MEMORY;
  return HB_OK;
}

void stop_workers(Model *model) {
  pthread_mutex_lock(&stand_in_lock);
  model->stopping = true;
  pthread_cond_broadcast(&model->queued);
  pthread_mutex_unlock(&stand_in_lock);
  for (int32_t i = 0; i < model->started; i++) pthread_join(model->workers[i], NULL);
}

static void enqueue(Task *task) {
  Task **link = &task->model->queue;
  while (*link && (*link)->priority >= task->priority) link = &(*link)->next;
  task->next = *link;
  *link = task;
  pthread_cond_signal(&task->model->queued);
}

EXPORT int32_t hbDNNInfer(hbDNNTaskHandle_t *handle, hbDNNTensor **outputs,
                          const hbDNNTensor *input, hbDNNHandle_t dnn,
                          hbDNNInferCtrlParam *control) {
  int32_t code = fault("hbDNNInfer");
  if (code) return code;
  if (!handle || !outputs || !*outputs || !input || !control) return HB_DNN_INVALID_ARGUMENT;
  if (*handle) return HB_DNN_API_USE_ERROR; /* adding to a task is not modelled */
  int32_t task_code = fault("task"), hangs = fault("hang");
  Task *task = calloc(1, sizeof *task);
  if (!task) return HB_DNN_OUT_OF_MEMORY;
  pthread_mutex_lock(&stand_in_lock);
  Model *model = known_model(dnn);
  code = model ? check_arguments(model, input, *outputs, control) : HB_DNN_INVALID_DNN_HANDLE;
  if (code) stand_in_now.misuse++;
  int32_t slot = slot_of(NULL);
  if (!code && slot < 0) code = HB_DNN_TASK_NUM_EXCEED_LIMIT;
  if (!code) {
    task->model = model;
    task->hangs = hangs;
    task->code = task_code;
    task->priority = control->priority;
    task->queued_at = now_ns();
    task->input = *input;
    memcpy(task->outputs, *outputs, model->info->outputs * sizeof **outputs);
    init_monotonic(&task->changed);
    tasks[slot] = task;
    last_control = *control;
    stand_in_now.tasks++;
    stand_in_now.live_tasks++;
    if (stand_in_now.live_tasks > stand_in_now.most_tasks)
      stand_in_now.most_tasks = stand_in_now.live_tasks;
    enqueue(task);
    *handle = task;
  }
  pthread_mutex_unlock(&stand_in_lock);
  if (code) free(task);
  return code;
}

EXPORT int32_t hbDNNWaitTaskDone(hbDNNTaskHandle_t handle, int32_t timeout_ms) {
  int32_t code = fault("hbDNNWaitTaskDone");
  if (code) return code;
  struct timespec until = as_timespec(now_ns() + timeout_ms * 1000000LL);
  pthread_mutex_lock(&stand_in_lock);
  Task *task = handle && slot_of(handle) >= 0 ? handle : NULL;
  if (!task) {
    stand_in_now.misuse++;
    code = HB_DNN_INVALID_TASK_HANDLE;
  }
  while (!code && task->state != DONE) {
    if (timeout_ms <= 0)
      pthread_cond_wait(&task->changed, &stand_in_lock);
    else if (pthread_cond_timedwait(&task->changed, &stand_in_lock, &until) == ETIMEDOUT)
      code = task->state == DONE ? HB_OK : HB_DNN_TIMEOUT;
    if (code) break;
  }
  if (!code) code = task->code;
  pthread_mutex_unlock(&stand_in_lock);
  return code;
}

EXPORT int32_t hbDNNReleaseTask(hbDNNTaskHandle_t handle) {
  /* As in hbSysFreeMem, a call that is to fail releases all the same. */
  int32_t code = fault("hbDNNReleaseTask");
  pthread_mutex_lock(&stand_in_lock);
  int32_t slot = handle ? slot_of(handle) : -1;
  if (slot < 0) {
    stand_in_now.misuse++;
    code = HB_DNN_INVALID_TASK_HANDLE;
  } else {
    Task *task = handle;
    tasks[slot] = NULL;
    stand_in_now.live_tasks--;
    if (task->state == RUNNING) {
      /* It cannot be stopped in the middle: it goes on and writes its outputs later. */
      task->released = true;
      pthread_cond_broadcast(&task->changed);
    } else {
      Task **link = &task->model->queue;
      while (*link && *link != task) link = &(*link)->next;
      if (*link) *link = task->next;
      destroy(task);
    }
  }
  pthread_mutex_unlock(&stand_in_lock);
  return code;
}

EXPORT void stand_in_last_control(hbDNNInferCtrlParam *control) {
  pthread_mutex_lock(&stand_in_lock);
  *control = last_control;
  pthread_mutex_unlock(&stand_in_lock);
}

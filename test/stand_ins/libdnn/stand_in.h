/*
 * What the parts of the libdnn stand-in share. Names that start with hb are the vendor's published
 * interface, names that start with stand_in are controls for tests.
 */
#ifndef STAND_IN_H_
#define STAND_IN_H_

#include <pthread.h>
#include <stdbool.h>

#include "hb_abi.h"

#define MAX_TASKS 32 /* the published limit */
#define MAX_MODELS 8
#define MAX_TENSORS 16
#define MAX_WORKERS 8

#define EXPORT __attribute__((visibility("default")))

/* The model file, little-endian, as model_file.py writes it: a FileHeader, then for each model a
 * FileModel and its tensors (inputs first), then data. Offsets count from the file's start. */
typedef struct {
  char magic[8];
  int32_t models;
  int32_t reserved;
} FileHeader;

typedef struct {
  char name[64];
  int32_t inputs;
  int32_t outputs;
  int32_t latency_us;
  int32_t concurrency;
  int32_t callback; /* outputs come from stand_in_set_network, not from the file */
  int32_t reserved;
} FileModel;

typedef struct {
  char name[64];
  int32_t dimensions;
  int32_t valid[8];
  int32_t aligned[8];
  int32_t layout;
  int32_t type;
  int32_t quanti_type;
  int32_t quantize_axis;
  int32_t bytes; /* in memory, padding included */
  int32_t stride[8];
  int32_t scale_len;
  int32_t zero_point_len;
  int32_t shift_len;
  int32_t aligned_dimensions; /* the interface lets them be more than `dimensions` */
  int64_t scale_at;
  int64_t zero_point_at;
  int64_t shift_at;
  int64_t data_at; /* `bytes` bytes as they lie in memory; outputs of recorded models only */
} FileTensor;

_Static_assert(sizeof(FileHeader) == 16, "FileHeader");
_Static_assert(sizeof(FileModel) == 88, "FileModel");
_Static_assert(sizeof(FileTensor) == 232, "FileTensor");

typedef enum { QUEUED, RUNNING, DONE } TaskState;

typedef struct Task {
  struct Model *model;
  TaskState state;
  bool hangs;    /* never done until it is released */
  bool released; /* the caller has let go of it while it ran */
  int32_t code;  /* what waiting for it returns */
  int32_t priority;
  int64_t queued_at; /* CLOCK_MONOTONIC, ns */
  hbDNNTensor input;
  hbDNNTensor outputs[MAX_TENSORS];
  pthread_cond_t changed;
  struct Task *next; /* in its model's queue */
} Task;

typedef struct Model {
  struct Packed *packed;
  FileModel *info;
  FileTensor *inputs;
  FileTensor *outputs;
  Task *queue; /* in the order in which they will run */
  bool stopping;
  pthread_cond_t queued;
  pthread_t workers[MAX_WORKERS];
  int32_t started; /* workers */
} Model;

typedef struct Packed {
  uint8_t *data; /* the file */
  int64_t size;
  int32_t count;
  Model models[MAX_MODELS];
  const char *names[MAX_MODELS];
} Packed;

/* All counters since the last stand_in_reset; the `live` ones are what is there now. */
typedef struct {
  int32_t live_models;
  int32_t live_tasks;   /* not released */
  int32_t running;      /* on a worker, released or not */
  int32_t live_blocks;
  int64_t live_bytes;
  int32_t tasks;        /* accepted */
  int32_t completed;
  int32_t cleans;
  int32_t invalidates;
  int32_t writes_to_freed; /* outputs of a task whose memory was gone */
  int32_t misuse;          /* handles and blocks that do not exist (any more), wrong arguments */
  int32_t most_tasks;      /* live at once */
} Counts;

/* Held wherever anything shared is looked at, by every function below that does not say else. */
extern pthread_mutex_t stand_in_lock;
extern Counts stand_in_now;

typedef int32_t (*Network)(const uint8_t *y, int32_t y_pitch, const uint8_t *uv,
                           int32_t uv_pitch, int32_t height, int32_t width, void **outputs);
extern Network stand_in_network;

/* Returns the code that this call of `function` is to fail with, or 0. Takes the lock itself. */
int32_t fault(const char *function);

/* Returns where `size` bytes of BPU memory at a physical address are, or NULL; `holds`, if given,
 * becomes the place that remembers what the memory was last filled with. */
uint8_t *device_memory(uint64_t physical, uint32_t size, const void ***holds);

/* Returns whether a virtual address belongs to the same block at the same offset. */
bool same_place(const hbSysMem *memory);

Model *known_model(hbDNNHandle_t handle);

int32_t start_workers(Model *model); /* called without the lock */
void stop_workers(Model *model);     /* called without the lock */
bool has_live_tasks(const Model *model);

int32_t check_arguments(const Model *model, const hbDNNTensor *input, const hbDNNTensor *outputs,
                        const hbDNNInferCtrlParam *control);

/* Finds a task's image as the BPU sees it; `pitch` is the distance of two rows. */
int32_t input_planes(const Task *task, const uint8_t **y, const uint8_t **uv, int32_t *pitch,
                     int32_t *height, int32_t *width);

#endif /* STAND_IN_H_ */

/* Controls for tests: faults, counters, the network behind the models, the structures' layout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in.h"

#define MAX_FAULTS 64

pthread_mutex_t stand_in_lock = PTHREAD_MUTEX_INITIALIZER;
Counts stand_in_now;
Network stand_in_network;

static struct Fault {
  char function[48];
  int32_t calls; /* since it was set */
  int32_t first; /* the call that fails first, from 1 */
  int32_t count; /* how many calls fail, -1: all that follow */
  int32_t code;
} faults[MAX_FAULTS];
static int32_t fault_count;

int32_t fault(const char *function) {
  int32_t code = 0;
  pthread_mutex_lock(&stand_in_lock);
  for (int32_t i = 0; i < fault_count; i++) {
    struct Fault *f = &faults[i];
    if (strcmp(f->function, function)) continue;
    f->calls++;
    if (f->calls >= f->first && (f->count < 0 || f->calls < f->first + f->count)) code = f->code;
  }
  pthread_mutex_unlock(&stand_in_lock);
  return code;
}

/* `function` is a function's name, `task` for a task that fails, `hang` for one that never ends.
 * Call number `first` from now, and the `count` - 1 that follow, fail with `code`. */
EXPORT int32_t stand_in_fail(const char *function, int32_t first, int32_t count, int32_t code) {
  pthread_mutex_lock(&stand_in_lock);
  bool room = fault_count < MAX_FAULTS && strlen(function) < sizeof faults[0].function;
  if (room) {
    struct Fault *f = &faults[fault_count++];
    memset(f, 0, sizeof *f);
    strcpy(f->function, function);
    f->first = first;
    f->count = count;
    f->code = code;
  }
  pthread_mutex_unlock(&stand_in_lock);
  return room ? 0 : -1;
}

/* Forgets the faults and starts the counters anew; what is live stays counted. */
EXPORT void stand_in_reset(void) {
  pthread_mutex_lock(&stand_in_lock);
  fault_count = 0;
  stand_in_now.tasks = stand_in_now.completed = stand_in_now.cleans = 0;
  stand_in_now.invalidates = stand_in_now.writes_to_freed = stand_in_now.misuse = 0;
  stand_in_now.most_tasks = 0;
  pthread_mutex_unlock(&stand_in_lock);
}

EXPORT void stand_in_counts(Counts *counts) {
  pthread_mutex_lock(&stand_in_lock);
  *counts = stand_in_now;
  pthread_mutex_unlock(&stand_in_lock);
}

EXPORT void stand_in_set_network(Network network) {
  pthread_mutex_lock(&stand_in_lock);
  stand_in_network = network;
  pthread_mutex_unlock(&stand_in_lock);
}

/* RDK_STAND_IN_FAULTS="function:first:count:code,..." sets faults in a process of its own. */
__attribute__((constructor)) static void faults_from_environment(void) {
  const char *text = getenv("RDK_STAND_IN_FAULTS");
  while (text && *text) {
    char function[48];
    int first, count, code;
    if (sscanf(text, "%47[^:]:%d:%d:%d", function, &first, &count, &code) != 4) {
      fprintf(stderr, "libdnn stand-in: RDK_STAND_IN_FAULTS is not understood from %s\n", text);
      abort();
    }
    stand_in_fail(function, first, count, code);
    text = strchr(text, ',');
    if (text) text++;
  }
}

/* The layout on this side, to be compared with the other: {name, number}, up to a NULL name. */
typedef struct {
  const char *name;
  uint64_t number;
} LayoutEntry;

#define SIZE(type) {#type, sizeof(type)}
#define AT(type, field) {#type "." #field, offsetof(type, field)}
EXPORT const LayoutEntry stand_in_layout[] = {
    SIZE(hbSysMem), AT(hbSysMem, phyAddr), AT(hbSysMem, virAddr), AT(hbSysMem, memSize),
    SIZE(hbDNNTensorShape), AT(hbDNNTensorShape, dimensionSize),
    AT(hbDNNTensorShape, numDimensions),
    SIZE(hbDNNQuantiShift), AT(hbDNNQuantiShift, shiftLen), AT(hbDNNQuantiShift, shiftData),
    SIZE(hbDNNQuantiScale), AT(hbDNNQuantiScale, scaleLen), AT(hbDNNQuantiScale, scaleData),
    AT(hbDNNQuantiScale, zeroPointLen), AT(hbDNNQuantiScale, zeroPointData),
    SIZE(hbDNNTensorProperties), AT(hbDNNTensorProperties, validShape),
    AT(hbDNNTensorProperties, alignedShape), AT(hbDNNTensorProperties, tensorLayout),
    AT(hbDNNTensorProperties, tensorType), AT(hbDNNTensorProperties, shift),
    AT(hbDNNTensorProperties, scale), AT(hbDNNTensorProperties, quantiType),
    AT(hbDNNTensorProperties, quantizeAxis), AT(hbDNNTensorProperties, alignedByteSize),
    AT(hbDNNTensorProperties, stride),
    SIZE(hbDNNTensor), AT(hbDNNTensor, sysMem), AT(hbDNNTensor, properties),
    SIZE(hbDNNInferCtrlParam), AT(hbDNNInferCtrlParam, bpuCoreId),
    AT(hbDNNInferCtrlParam, dspCoreId), AT(hbDNNInferCtrlParam, priority),
    AT(hbDNNInferCtrlParam, more), AT(hbDNNInferCtrlParam, customId),
    AT(hbDNNInferCtrlParam, reserved1), AT(hbDNNInferCtrlParam, reserved2),
    {NULL, 0}};

/* Models: reading the stand-in's own file format, and what the interface tells of a model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stand_in.h"

static Packed *loaded[MAX_MODELS];

Model *known_model(hbDNNHandle_t handle) {
  for (int32_t i = 0; i < MAX_MODELS; i++)
    for (int32_t m = 0; loaded[i] && m < loaded[i]->count; m++)
      if (handle == &loaded[i]->models[m]) return handle;
  return NULL;
}

static int32_t packed_slot(const Packed *packed) {
  for (int32_t i = 0; i < MAX_MODELS; i++)
    if (loaded[i] == packed) return i;
  return -1;
}

static int32_t read_file(const char *path, Packed *packed) {
  FILE *file = fopen(path, "rb");
  if (!file) return HB_DNN_CAN_NOT_OPEN_FILE;
  fseek(file, 0, SEEK_END);
  packed->size = ftell(file);
  rewind(file);
  packed->data = packed->size > 0 ? malloc(packed->size) : NULL;
  bool whole = packed->data && fread(packed->data, 1, packed->size, file) == (size_t)packed->size;
  fclose(file);
  return whole ? HB_OK : HB_DNN_INVALID_MODEL;
}

static bool inside(const Packed *packed, int64_t at, int64_t size) {
  return size == 0 || (at >= (int64_t)sizeof(FileHeader) && size > 0 && at + size <= packed->size);
}

/* Returns the place after the model, or -1. */
static int64_t read_model(Packed *packed, int64_t at, Model *model) {
  if (!inside(packed, at, sizeof(FileModel))) return -1;
  model->packed = packed;
  model->info = (FileModel *)(packed->data + at);
  at += sizeof(FileModel);
  const FileModel *info = model->info;
  if (info->inputs < 0 || info->inputs > MAX_TENSORS || info->outputs < 1 ||
      info->outputs > MAX_TENSORS || info->concurrency < 1 || info->concurrency > MAX_WORKERS ||
      info->latency_us < 0)
    return -1;
  int32_t tensors = info->inputs + info->outputs;
  if (!inside(packed, at, tensors * sizeof(FileTensor))) return -1;
  model->inputs = (FileTensor *)(packed->data + at);
  model->outputs = model->inputs + info->inputs;
  for (int32_t i = 0; i < tensors; i++) {
    const FileTensor *t = &model->inputs[i];
    bool recorded = i >= info->inputs && !info->callback;
    if (!inside(packed, t->scale_at, t->scale_len * 4) ||
        !inside(packed, t->zero_point_at, t->zero_point_len) ||
        !inside(packed, t->shift_at, t->shift_len) || t->bytes <= 0 ||
        (recorded && !inside(packed, t->data_at, t->bytes)))
      return -1;
  }
  return at + tensors * sizeof(FileTensor);
}

static int32_t read_packed(Packed *packed) {
  const FileHeader *header = (FileHeader *)packed->data;
  if (packed->size < (int64_t)sizeof *header || memcmp(header->magic, "STANDIN1", 8) ||
      header->models < 1 || header->models > MAX_MODELS)
    return HB_DNN_INVALID_MODEL;
  int64_t at = sizeof *header;
  for (packed->count = 0; packed->count < header->models; packed->count++) {
    Model *model = &packed->models[packed->count];
    at = read_model(packed, at, model);
    if (at < 0) return HB_DNN_INVALID_MODEL;
    packed->names[packed->count] = model->info->name;
  }
  return HB_OK;
}

static void discard(Packed *packed) {
  for (int32_t i = 0; i < packed->count; i++) stop_workers(&packed->models[i]);
  free(packed->data);
  free(packed);
}

EXPORT int32_t hbDNNInitializeFromFiles(hbPackedDNNHandle_t *handle, const char **paths,
                                        int32_t count) {
  int32_t code = fault("hbDNNInitializeFromFiles");
  if (code) return code;
  if (!handle || !paths || count != 1) return HB_DNN_INVALID_ARGUMENT;
  Packed *packed = calloc(1, sizeof *packed);
  if (!packed) return HB_DNN_OUT_OF_MEMORY;
  code = read_file(paths[0], packed);
  if (!code) code = read_packed(packed);
  if (code) packed->count = 0; /* no worker was started */
  for (int32_t i = 0; !code && i < packed->count; i++) code = start_workers(&packed->models[i]);
  pthread_mutex_lock(&stand_in_lock);
  int32_t slot = packed_slot(NULL);
  if (!code && slot >= 0) {
    loaded[slot] = packed;
    stand_in_now.live_models++;
  }
  pthread_mutex_unlock(&stand_in_lock);
  if (code || slot < 0) {
    discard(packed);
    return code ? code : HB_DNN_OUT_OF_MEMORY;
  }
  *handle = packed;
  return HB_OK;
}

EXPORT int32_t hbDNNRelease(hbPackedDNNHandle_t handle) {
  /* As in hbSysFreeMem, a call that is to fail releases all the same. */
  int32_t code = fault("hbDNNRelease");
  pthread_mutex_lock(&stand_in_lock);
  int32_t slot = handle ? packed_slot(handle) : -1;
  bool busy = false;
  if (slot >= 0) {
    Packed *packed = handle;
    for (int32_t i = 0; i < packed->count; i++) busy |= has_live_tasks(&packed->models[i]);
    if (!busy) {
      loaded[slot] = NULL;
      stand_in_now.live_models--;
    }
  }
  if (slot < 0 || busy) stand_in_now.misuse++;
  pthread_mutex_unlock(&stand_in_lock);
  if (slot < 0) return HB_DNN_INVALID_PACKED_DNN_HANDLE;
  if (busy) return HB_DNN_MODEL_IS_RUNNING;
  discard(handle);
  return code;
}

EXPORT const char *hbDNNGetVersion(void) { return "stand-in 1"; }

EXPORT int32_t hbDNNGetModelNameList(const char ***names, int32_t *count,
                                     hbPackedDNNHandle_t handle) {
  int32_t code = fault("hbDNNGetModelNameList");
  if (code) return code;
  pthread_mutex_lock(&stand_in_lock);
  bool known = handle && packed_slot(handle) >= 0;
  pthread_mutex_unlock(&stand_in_lock);
  if (!known) return HB_DNN_INVALID_PACKED_DNN_HANDLE;
  *names = ((Packed *)handle)->names;
  *count = ((Packed *)handle)->count;
  return HB_OK;
}

EXPORT int32_t hbDNNGetModelHandle(hbDNNHandle_t *model, hbPackedDNNHandle_t handle,
                                   const char *name) {
  int32_t code = fault("hbDNNGetModelHandle");
  if (code) return code;
  pthread_mutex_lock(&stand_in_lock);
  Packed *packed = handle && packed_slot(handle) >= 0 ? handle : NULL;
  pthread_mutex_unlock(&stand_in_lock);
  if (!packed) return HB_DNN_INVALID_PACKED_DNN_HANDLE;
  for (int32_t i = 0; i < packed->count; i++)
    if (!strcmp(packed->names[i], name)) {
      *model = &packed->models[i];
      return HB_OK;
    }
  return HB_DNN_INVALID_ARGUMENT;
}

static int32_t count_of(const char *function, int32_t *count, hbDNNHandle_t handle, bool input) {
  int32_t code = fault(function);
  if (code) return code;
  pthread_mutex_lock(&stand_in_lock);
  Model *model = known_model(handle);
  pthread_mutex_unlock(&stand_in_lock);
  if (!model) return HB_DNN_INVALID_DNN_HANDLE;
  *count = input ? model->info->inputs : model->info->outputs;
  return HB_OK;
}

/* Looks a tensor up; `code` is why it is not there. */
static FileTensor *tensor_of(const char *function, hbDNNHandle_t handle, int32_t index,
                             bool input, int32_t *code) {
  int32_t count;
  *code = count_of(function, &count, handle, input);
  if (*code) return NULL;
  *code = HB_DNN_INVALID_ARGUMENT;
  if (index < 0 || index >= count) return NULL;
  *code = HB_OK;
  return (input ? ((Model *)handle)->inputs : ((Model *)handle)->outputs) + index;
}

static int32_t name_of(const char *function, const char **name, hbDNNHandle_t handle,
                       int32_t index, bool input) {
  int32_t code;
  FileTensor *tensor = tensor_of(function, handle, index, input, &code);
  if (tensor) *name = tensor->name;
  return code;
}

static int32_t properties_of(const char *function, hbDNNTensorProperties *p,
                             hbDNNHandle_t handle, int32_t index, bool input) {
  int32_t code;
  FileTensor *t = tensor_of(function, handle, index, input, &code);
  if (!t) return code;
  uint8_t *data = ((Model *)handle)->packed->data;
  memset(p, 0, sizeof *p);
  memcpy(p->validShape.dimensionSize, t->valid, sizeof t->valid);
  memcpy(p->alignedShape.dimensionSize, t->aligned, sizeof t->aligned);
  p->validShape.numDimensions = t->dimensions;
  p->alignedShape.numDimensions = t->aligned_dimensions;
  p->tensorLayout = t->layout;
  p->tensorType = t->type;
  p->quantiType = t->quanti_type;
  p->quantizeAxis = t->quantize_axis;
  p->alignedByteSize = t->bytes;
  memcpy(p->stride, t->stride, sizeof t->stride);
  p->scale.scaleLen = t->scale_len;
  p->scale.scaleData = t->scale_len ? (float *)(data + t->scale_at) : NULL;
  p->scale.zeroPointLen = t->zero_point_len;
  p->scale.zeroPointData = t->zero_point_len ? (int8_t *)(data + t->zero_point_at) : NULL;
  p->shift.shiftLen = t->shift_len;
  p->shift.shiftData = t->shift_len ? data + t->shift_at : NULL;
  return HB_OK;
}

EXPORT int32_t hbDNNGetInputCount(int32_t *count, hbDNNHandle_t model) {
  return count_of("hbDNNGetInputCount", count, model, true);
}

EXPORT int32_t hbDNNGetOutputCount(int32_t *count, hbDNNHandle_t model) {
  return count_of("hbDNNGetOutputCount", count, model, false);
}

EXPORT int32_t hbDNNGetInputName(const char **name, hbDNNHandle_t model, int32_t index) {
  return name_of("hbDNNGetInputName", name, model, index, true);
}

EXPORT int32_t hbDNNGetOutputName(const char **name, hbDNNHandle_t model, int32_t index) {
  return name_of("hbDNNGetOutputName", name, model, index, false);
}

EXPORT int32_t hbDNNGetInputTensorProperties(hbDNNTensorProperties *properties,
                                             hbDNNHandle_t model, int32_t index) {
  return properties_of("hbDNNGetInputTensorProperties", properties, model, index, true);
}

EXPORT int32_t hbDNNGetOutputTensorProperties(hbDNNTensorProperties *properties,
                                              hbDNNHandle_t model, int32_t index) {
  return properties_of("hbDNNGetOutputTensorProperties", properties, model, index, false);
}

/* What hbDNNInfer was given: whether the library would take it, and where the image lies. */
#include <string.h>

#include "stand_in.h"

static int32_t sized(const hbSysMem *memory, int64_t bytes) {
  return memory->memSize >= bytes && same_place(memory) ? HB_OK : HB_DNN_INVALID_ARGUMENT;
}

/* The rows and columns of a shape, valid or aligned. */
static void image_size(const int32_t *shape, int32_t layout, int32_t *height, int32_t *width) {
  int32_t first = layout == HB_LAYOUT_NHWC ? 1 : 2;
  *height = shape[first];
  *width = shape[first + 1];
}

int32_t input_planes(const Task *task, const uint8_t **y, const uint8_t **uv, int32_t *pitch,
                     int32_t *height, int32_t *width) {
  const hbDNNTensorProperties *p = &task->input.properties;
  const hbSysMem *memory = task->input.sysMem;
  int32_t rows;
  image_size(p->validShape.dimensionSize, p->tensorLayout, height, width);
  image_size(p->alignedShape.dimensionSize, p->tensorLayout, &rows, pitch);
  uint32_t luma = (uint32_t)rows * *pitch;
  bool separate = p->tensorType == HB_TYPE_NV12_SEPARATE;
  *y = device_memory(memory[0].phyAddr, luma, NULL);
  *uv = separate ? device_memory(memory[1].phyAddr, luma / 2, NULL)
                 : device_memory(memory[0].phyAddr + luma, luma / 2, NULL);
  return *y && *uv ? HB_OK : HB_DNN_INVALID_ARGUMENT;
}

/* As the vendor's library would refuse them: memory that is too small or is none of the BPU's. */
int32_t check_arguments(const Model *model, const hbDNNTensor *input, const hbDNNTensor *outputs,
                        const hbDNNInferCtrlParam *control) {
  int32_t rows, pitch, code;
  const hbDNNTensorProperties *p = &input->properties;
  const FileTensor *info = &model->inputs[0];
  if (model->info->inputs != 1 || control->priority < 0 || control->priority > 255 ||
      control->bpuCoreId < 0 || control->bpuCoreId > 2 || control->more)
    return HB_DNN_INVALID_ARGUMENT;
  if (p->tensorType != HB_TYPE_NV12 && p->tensorType != HB_TYPE_NV12_SEPARATE)
    return HB_DNN_INVALID_ARGUMENT;
  const int32_t *aligned = p->alignedShape.dimensionSize;
  if (memcmp(p->validShape.dimensionSize, info->valid, sizeof info->valid) ||
      (memcmp(aligned, info->aligned, sizeof info->aligned) &&
       memcmp(aligned, info->valid, sizeof info->valid)))
    return HB_DNN_INVALID_ARGUMENT;
  image_size(aligned, p->tensorLayout, &rows, &pitch);
  int64_t luma = (int64_t)rows * pitch;
  bool separate = p->tensorType == HB_TYPE_NV12_SEPARATE;
  code = sized(&input->sysMem[0], separate ? luma : luma * 3 / 2);
  if (!code && separate) code = sized(&input->sysMem[1], luma / 2);
  for (int32_t i = 0; !code && i < model->info->outputs; i++)
    code = sized(&outputs[i].sysMem[0], model->outputs[i].bytes);
  return code;
}

/*
 * BPU memory. Each block has two copies, as if the processor's cache never met the memory by
 * itself: what the CPU sees at the virtual address, and what the BPU sees at the physical one.
 * Only hbSysFlushMem carries data from one to the other, so that a missing flush shows.
 */
#include <stdlib.h>
#include <string.h>

#include "stand_in.h"

typedef struct Block {
  uint64_t physical;
  uint8_t *cpu;
  uint8_t *device;
  uint32_t size;
  const void *holds; /* what the BPU last wrote, where the whole block still is that */
  struct Block *next;
} Block;

static Block *blocks;
static uint64_t next_physical = 0x100000000;

static Block *block_at_physical(uint64_t physical, uint32_t size) {
  for (Block *block = blocks; block; block = block->next)
    if (physical >= block->physical && physical + size <= block->physical + block->size)
      return block;
  return NULL;
}

uint8_t *device_memory(uint64_t physical, uint32_t size, const void ***holds) {
  Block *block = block_at_physical(physical, size);
  if (!block) return NULL;
  if (holds) *holds = &block->holds;
  return block->device + (physical - block->physical);
}

bool same_place(const hbSysMem *memory) {
  Block *block = block_at_physical(memory->phyAddr, memory->memSize);
  return block && (uint8_t *)memory->virAddr == block->cpu + (memory->phyAddr - block->physical);
}

EXPORT int32_t hbSysAllocCachedMem(hbSysMem *memory, uint32_t size) {
  int32_t code = fault("hbSysAllocCachedMem");
  if (code) return code;
  if (!memory || !size) return HB_SYS_INVALID_ARGUMENT;
  Block *block = calloc(1, sizeof *block);
  if (!block) return HB_SYS_OUT_OF_MEMORY;
  block->cpu = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  block->device = malloc(size);
  if (!block->cpu || !block->device) {
    free(block->cpu);
    free(block->device);
    free(block);
    return HB_SYS_OUT_OF_MEMORY;
  }
  /* Nobody promises zeros. */
  memset(block->cpu, 0xA5, size);
  memset(block->device, 0x5A, size);
  block->size = size;
  pthread_mutex_lock(&stand_in_lock);
  block->physical = next_physical;
  /* Never used again, and never next to another block. */
  next_physical += (size + 8191) / 4096 * 4096;
  block->next = blocks;
  blocks = block;
  stand_in_now.live_blocks++;
  stand_in_now.live_bytes += size;
  pthread_mutex_unlock(&stand_in_lock);
  memory->phyAddr = block->physical;
  memory->virAddr = block->cpu;
  memory->memSize = size;
  return HB_OK;
}

EXPORT int32_t hbSysFlushMem(hbSysMem *memory, int32_t flag) {
  int32_t code = fault("hbSysFlushMem");
  if (code) return code;
  pthread_mutex_lock(&stand_in_lock);
  bool valid = memory && (flag == HB_INVALIDATE || flag == HB_CLEAN) && same_place(memory);
  Block *block = valid ? block_at_physical(memory->phyAddr, memory->memSize) : NULL;
  if (!block)
    stand_in_now.misuse++;
  else if (flag == HB_CLEAN)
    stand_in_now.cleans++, block->holds = NULL;
  else
    stand_in_now.invalidates++;
  pthread_mutex_unlock(&stand_in_lock);
  if (!block) return HB_SYS_INVALID_ARGUMENT;
  uint8_t *device = block->device + (memory->phyAddr - block->physical);
  if (flag == HB_CLEAN)
    memcpy(device, memory->virAddr, memory->memSize);
  else
    memcpy(memory->virAddr, device, memory->memSize);
  return HB_OK;
}

EXPORT int32_t hbSysFreeMem(hbSysMem *memory) {
  /* A call that is to fail frees all the same: what then leaks is the caller's doing. */
  int32_t code = fault("hbSysFreeMem");
  pthread_mutex_lock(&stand_in_lock);
  Block **link = &blocks;
  while (*link && !(memory && (*link)->physical == memory->phyAddr)) link = &(*link)->next;
  Block *block = *link;
  if (block) {
    *link = block->next;
    stand_in_now.live_blocks--;
    stand_in_now.live_bytes -= block->size;
  } else {
    stand_in_now.misuse++;
  }
  pthread_mutex_unlock(&stand_in_lock);
  if (!block) return HB_SYS_INVALID_ARGUMENT;
  free(block->cpu);
  free(block->device);
  free(block);
  return code;
}

// A program is recorded into command buffers, each with a pair of timestamps of its own. Run whole, it has one command
// buffer per repeat that may be in flight at once ("ring"): all hold the same commands and are submitted together as
// often as the policy says. Cut into segments, it has one command buffer per segment, each submitted and waited for
// alone. Recordings are made when they are first needed and kept until a run cuts the program otherwise.
#include "backends/vulkan/vk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

#define RING_LIMIT 16
#define RING_DISPATCHES 8192 // that all recordings of a ring hold together, as long as that leaves one of them

struct qm_program {
    struct qm_dispatch *dispatches;
    size_t count;
    VkDescriptorPool descriptor_pool;
    VkDescriptorSet *sets; // one per dispatch
    VkBufferView *views;   // QM_MAX_BINDINGS per dispatch, where a kernel reads texels
    // Of the present cut:
    size_t segment;            // dispatches per command buffer
    uint32_t command_capacity; // length of the ring, or segments
    uint32_t recorded;         // the first so many are ready
    VkCommandPool command_pool;
    VkCommandBuffer *commands;
    VkQueryPool queries; // two per command buffer
};

// ---- Descriptor sets ----------------------------------------------------------------------------------------------

// A view of the binding as texels; its end is rounded up, for buffers hold whole texels.
static enum qm_status create_view(struct qm_vk_device *device, const struct qm_binding *binding, VkBufferView *view)
{
    const uint64_t range_bytes = (binding->size_bytes + QM_VK_TEXEL_BYTES - 1) / QM_VK_TEXEL_BYTES * QM_VK_TEXEL_BYTES;
    const struct qm_device_info *info = device->base.info;
    if (range_bytes > info->max_texel_bytes)
        return QM_FAIL(QM_UNSUPPORTED, "a texel buffer of %" PRIu64 " bytes; %s has at most %" PRIu64, range_bytes,
                       info->name, info->max_texel_bytes);
    VkBufferViewCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
        .buffer = binding->buffer->handle,
        .format = VK_FORMAT_R32G32B32A32_UINT,
        .offset = binding->offset_bytes,
        .range = range_bytes,
    };
    return VK_STATUS(device->vk.vkCreateBufferView(device->handle, &create, NULL, view));
}

static enum qm_status write_set(struct qm_vk_device *device, VkDescriptorSet set, const struct qm_dispatch *dispatch,
                                const struct qm_buffer *step, VkBufferView *views)
{
    VkDescriptorBufferInfo buffers[QM_MAX_BINDINGS + 1];
    VkWriteDescriptorSet writes[QM_MAX_BINDINGS + 1];
    const uint32_t count = dispatch->kernel->binding_count;
    for (uint32_t i = 0; i <= count; i++) {
        const struct qm_binding *binding = &dispatch->bindings[i];
        const bool is_step = i == count;
        const bool is_texel = !is_step && (dispatch->kernel->texel_bindings >> i & 1);
        if (is_texel)
            QM_TRY(create_view(device, binding, &views[i]));
        buffers[i] = is_step ? (VkDescriptorBufferInfo){.buffer = step->handle, .range = 4 * QM_STEP_WORDS}
                             : (VkDescriptorBufferInfo){.buffer = binding->buffer->handle,
                                                        .offset = binding->offset_bytes,
                                                        .range = binding->size_bytes};
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = set,
            .dstBinding = is_step    ? QM_VK_STEP_BINDING
                          : is_texel ? QM_VK_TEXEL_BINDING + i
                                     : i,
            .descriptorCount = 1,
            .descriptorType = is_step    ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER
                              : is_texel ? VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER
                                         : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &buffers[i],
            .pTexelBufferView = is_texel ? &views[i] : NULL,
        };
    }
    device->vk.vkUpdateDescriptorSets(device->handle, count + 1, writes, 0, NULL);
    return QM_OK;
}

static enum qm_status create_sets(struct qm_vk_device *device, struct qm_program *program, const struct qm_buffer *step)
{
    const uint32_t count = (uint32_t)program->count;
    const VkDescriptorPoolSize sizes[3] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, QM_MAX_BINDINGS * count},
        {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, count},
        {VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER, QM_MAX_BINDINGS * count},
    };
    VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = count,
        .poolSizeCount = 3,
        .pPoolSizes = sizes,
    };
    VK_TRY(device->vk.vkCreateDescriptorPool(device->handle, &pool, NULL, &program->descriptor_pool));
    for (uint32_t i = 0; i < count; i++) {
        VkDescriptorSetAllocateInfo allocate = {
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
            .descriptorPool = program->descriptor_pool,
            .descriptorSetCount = 1,
            .pSetLayouts = &device->set_layout,
        };
        VK_TRY(device->vk.vkAllocateDescriptorSets(device->handle, &allocate, &program->sets[i]));
        QM_TRY(write_set(device, program->sets[i], &program->dispatches[i], step,
                         program->views + (size_t)i * QM_MAX_BINDINGS));
    }
    return QM_OK;
}

// ---- Programs -----------------------------------------------------------------------------------------------------

enum qm_status qm_vk_program_create(struct qm_device *base, const struct qm_program_params *params,
                                    struct qm_program **out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    enum qm_status status;
    *out = NULL;
    QM_TRY(qm_vk_alive(device));
    if (params->count > UINT32_MAX / QM_MAX_BINDINGS)
        return QM_FAIL(QM_UNSUPPORTED, "a program of %zu dispatches", params->count);
    struct qm_program *program = calloc(1, sizeof(*program));
    if (!program)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a program");
    program->count = params->count;
    program->dispatches = calloc(params->count, sizeof(*program->dispatches));
    program->sets = calloc(params->count, sizeof(VkDescriptorSet));
    program->views = calloc(params->count, QM_MAX_BINDINGS * sizeof(VkBufferView));
    if (!program->dispatches || !program->sets || !program->views) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a program of %zu dispatches", params->count);
        goto done;
    }
    memcpy(program->dispatches, params->dispatches, params->count * sizeof(*program->dispatches));
    QM_GUARD(create_sets(device, program, params->step ? params->step : device->no_step));
    *out = program;
    return QM_OK;
done:
    qm_vk_program_destroy(base, &program);
    return status;
}

static void drop_recordings(struct qm_vk_device *device, struct qm_program *program)
{
    if (!device->hung) {
        device->vk.vkDestroyCommandPool(device->handle, program->command_pool, NULL); // and its command buffers
        device->vk.vkDestroyQueryPool(device->handle, program->queries, NULL);
    }
    free(program->commands);
    program->command_pool = VK_NULL_HANDLE;
    program->queries = VK_NULL_HANDLE;
    program->commands = NULL;
    program->segment = 0;
    program->command_capacity = 0;
    program->recorded = 0;
}

void qm_vk_program_destroy(struct qm_device *base, struct qm_program **out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    struct qm_program *program = *out;
    *out = NULL;
    if (!program)
        return;
    drop_recordings(device, program);
    if (!device->hung) {
        device->vk.vkDestroyDescriptorPool(device->handle, program->descriptor_pool, NULL); // and its sets
        for (size_t i = 0; program->views && i < program->count * QM_MAX_BINDINGS; i++)
            device->vk.vkDestroyBufferView(device->handle, program->views[i], NULL);
    }
    free(program->views);
    free(program->sets);
    free(program->dispatches);
    free(program);
}

// ---- Recording ----------------------------------------------------------------------------------------------------

// Makes room for recordings of `segment` dispatches each, unless they are there.
static enum qm_status prepare(struct qm_vk_device *device, struct qm_program *program, size_t segment)
{
    if (program->segment == segment)
        return QM_OK;
    drop_recordings(device, program);
    uint32_t capacity;
    if (segment < program->count) {
        capacity = (uint32_t)((program->count + segment - 1) / segment);
    } else {
        size_t ring = RING_DISPATCHES / program->count;
        capacity = ring < 1 ? 1 : ring > RING_LIMIT ? RING_LIMIT : (uint32_t)ring;
    }
    enum qm_status status;
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .queueFamilyIndex = device->physical.queue_family,
    };
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = capacity,
    };
    VkQueryPoolCreateInfo queries = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP,
        .queryCount = 2 * capacity,
    };
    program->commands = calloc(capacity, sizeof(VkCommandBuffer));
    if (!program->commands) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u command buffers", capacity);
        goto done;
    }
    QM_GUARD(VK_STATUS(device->vk.vkCreateCommandPool(device->handle, &pool, NULL, &program->command_pool)));
    allocate.commandPool = program->command_pool;
    QM_GUARD(VK_STATUS(device->vk.vkAllocateCommandBuffers(device->handle, &allocate, program->commands)));
    if (device->base.info->timestamp_valid_bits)
        QM_GUARD(VK_STATUS(device->vk.vkCreateQueryPool(device->handle, &queries, NULL, &program->queries)));
    program->segment = segment;
    program->command_capacity = capacity;
    return QM_OK;
done:
    drop_recordings(device, program);
    return status;
}

static void barrier(struct qm_vk_device *device, VkCommandBuffer commands, VkPipelineStageFlags from,
                    VkAccessFlags made, VkPipelineStageFlags to, VkAccessFlags needed)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = made, .dstAccessMask = needed};
    device->vk.vkCmdPipelineBarrier(commands, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

static enum qm_status record(struct qm_vk_device *device, struct qm_program *program, uint32_t index)
{
    const bool whole = program->segment >= program->count;
    const size_t first = whole ? 0 : index * program->segment;
    const size_t left = program->count - first;
    const size_t end = first + (left < program->segment ? left : program->segment);
    const VkAccessFlags shader_use =
        VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_UNIFORM_READ_BIT;
    VkCommandBuffer commands = program->commands[index];
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VK_TRY(device->vk.vkBeginCommandBuffer(commands, &begin));
    if (program->queries)
        device->vk.vkCmdResetQueryPool(commands, program->queries, 2 * index, 2);
    // Whatever came before, in this submission or an earlier one, is done and seen.
    barrier(device, commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, shader_use);
    // Both timestamps are taken at the bottom of the pipe, which is where all commands before them have ended. At its
    // top the first could be taken while the repeat before is still running.
    if (program->queries)
        device->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, program->queries, 2 * index);
    for (size_t i = first; i < end; i++) {
        const struct qm_dispatch *dispatch = &program->dispatches[i];
        const struct qm_kernel *kernel = dispatch->kernel;
        if (i > first)
            barrier(device, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
                    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, shader_use);
        if (i == first || kernel != program->dispatches[i - 1].kernel)
            device->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
        device->vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, device->pipeline_layout, 0, 1,
                                           &program->sets[i], 0, NULL);
        if (kernel->parameter_count)
            device->vk.vkCmdPushConstants(commands, device->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                          4 * kernel->parameter_count, dispatch->parameters);
        device->vk.vkCmdDispatch(commands, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    }
    if (program->queries)
        device->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, program->queries, 2 * index + 1);
    barrier(device, commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    VK_TRY(device->vk.vkEndCommandBuffer(commands));
    return QM_OK;
}

static enum qm_status need_recordings(struct qm_vk_device *device, struct qm_program *program, uint32_t count)
{
    for (; program->recorded < count; program->recorded++)
        QM_TRY(record(device, program, program->recorded));
    return QM_OK;
}

// ---- Running ------------------------------------------------------------------------------------------------------

// Device time of command buffers `first` and following; 0 without timestamps.
static enum qm_status device_times(struct qm_vk_device *device, const struct qm_program *program, uint32_t first,
                                   uint32_t count, uint64_t *ns)
{
    memset(ns, 0, count * sizeof(*ns));
    if (!program->queries)
        return QM_OK;
    uint64_t ticks[2 * RING_LIMIT];
    VkResult result =
        device->vk.vkGetQueryPoolResults(device->handle, program->queries, 2 * first, 2 * count,
                                         2 * count * sizeof(ticks[0]), ticks, sizeof(ticks[0]), VK_QUERY_RESULT_64_BIT);
    if (result == VK_ERROR_DEVICE_LOST)
        device->lost = true;
    QM_TRY(qm_vk_check(__FILE__, __LINE__, "vkGetQueryPoolResults", result));
    for (uint32_t i = 0; i < count; i++) // the mask also mends a counter that began anew in between
        ns[i] = qm_vk_ticks_to_ns(device, (ticks[2 * i + 1] - ticks[2 * i]) & qm_vk_tick_mask(device));
    return QM_OK;
}

static enum qm_status run_segments(struct qm_vk_device *device, struct qm_program *program, struct qm_timing *timing,
                                   uint64_t *device_ns)
{
    *device_ns = 0;
    for (uint32_t i = 0; i < program->command_capacity; i++) {
        uint64_t ns;
        QM_TRY(qm_vk_submit(device, &program->commands[i], 1));
        QM_TRY(device_times(device, program, i, 1, &ns));
        *device_ns += ns;
        timing->submissions++;
    }
    return QM_OK;
}

enum qm_status qm_vk_run(struct qm_device *base, struct qm_program *program, uint32_t repeats,
                         const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    timing->submissions = 0;
    timing->wall_ns = 0;
    timing->has_device_time = false;
    QM_TRY(qm_vk_alive(device));
    const size_t longest = policy->dispatches_per_submission;
    const bool cut = longest && longest < program->count;
    QM_TRY(prepare(device, program, cut ? longest : program->count));
    uint32_t batch_limit = policy->repeats_per_submission ? policy->repeats_per_submission : 1;
    if (cut)
        batch_limit = 1;
    else if (batch_limit > program->command_capacity)
        batch_limit = program->command_capacity;
    // Recording is not timed.
    uint32_t needed = program->command_capacity;
    if (!cut)
        needed = batch_limit < repeats ? batch_limit : repeats;
    QM_TRY(need_recordings(device, program, needed));

    const uint64_t start = qm_clock_ns();
    uint64_t previous = start;
    for (uint32_t done = 0; done < repeats;) {
        const uint32_t batch = repeats - done < batch_limit ? repeats - done : batch_limit;
        uint64_t device_ns[RING_LIMIT];
        uint64_t now;
        if (cut) {
            QM_TRY(run_segments(device, program, timing, device_ns));
            now = qm_clock_ns();
        } else {
            QM_TRY(qm_vk_submit(device, program->commands, batch));
            now = qm_clock_ns();
            timing->submissions++;
            QM_TRY(device_times(device, program, 0, batch, device_ns));
        }
        for (uint32_t i = 0; i < batch; i++) {
            if (timing->repeat_device_ns)
                timing->repeat_device_ns[done + i] = device_ns[i];
            if (timing->repeat_wall_ns)
                timing->repeat_wall_ns[done + i] = (now - previous) / batch;
        }
        previous = now;
        done += batch;
    }
    timing->wall_ns = previous - start;
    timing->has_device_time = program->queries != VK_NULL_HANDLE;
    return QM_OK;
}

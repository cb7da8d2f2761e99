/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The allocator is a subclass of GStreamer's. Since 1.24 GStreamer wraps device memory itself, and
 * only what it would copy wrongly is done here: it takes rows for what lies between planes. Before,
 * the memories are made here, and what is done with them is, too.
 *
 * All work of GStreamer's elements is in streams that wait for the context's NULL stream, and that
 * waits for them: copies here are ordered behind what is under way.
 */
#include "cuda_memory.h"

#include <string.h>

/* Before 1.24: the whole of a memory. */
typedef struct {
    GstCuframesCudaMemory cuda;
    guint64 device;
    GMutex lock;
    gpointer staging; /* what the CPU sees of it; NULL until it looks */
    gboolean stale;   /* the staging has to be read again */
    gpointer user_data;
    GDestroyNotify notify;
} OwnMemory;

/* Memory that a copy is in. */
typedef struct {
    guint64 device;
} Allocated;

static gboolean copy_rows(GstCuframesCudaCopy copy)
{
    return gst_cuframes_cuda_library()->CuMemcpy2D(&copy) == 0;
}

static gboolean copy_bytes(guint64 to, guint64 from, gsize size)
{
    return copy_rows((GstCuframesCudaCopy){.from_type = GST_CUFRAMES_CUDA_DEVICE,
                                           .from_device = from,
                                           .from_pitch = size,
                                           .to_type = GST_CUFRAMES_CUDA_DEVICE,
                                           .to_device = to,
                                           .to_pitch = size,
                                           .row = size,
                                           .rows = 1});
}

/* ---- copies ---- */

/* In the context. */
static void free_allocated(gpointer data)
{
    gst_cuframes_cuda_library()->CuMemFree(((Allocated *)data)->device);
    g_free(data);
}

/* In the context. */
static GstMemory *alloc(GstCudaContext *context, const GstVideoInfo *info, gsize size)
{
    Allocated *allocated = g_new0(Allocated, 1);
    GstMemory *memory;

    if (gst_cuframes_cuda_library()->CuMemAlloc(&allocated->device, (guint)size)) {
        g_free(allocated);
        return NULL;
    }
    memory = gst_cuframes_cuda_wrap(context, info, allocated->device, size, 0, allocated,
                                    free_allocated);
    if (!memory)
        free_allocated(allocated);
    return memory;
}

GstMemory *gst_cuframes_cuda_alloc(GstCudaContext *context, const GstVideoInfo *info, gsize size)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    GstMemory *memory;

    if (!library->gst_cuda_context_push(context))
        return NULL;
    memory = alloc(context, info, size);
    library->gst_cuda_context_pop(NULL);
    return memory;
}

/* In the context. */
static gboolean fill(GstMemory *memory, guint64 from)
{
    GstMapInfo map;
    gboolean done;

    if (!gst_memory_map(memory, &map, GST_MAP_WRITE | GST_CUFRAMES_MAP_CUDA))
        return FALSE;
    done = copy_bytes((guint64)(guintptr)map.data, from, map.size);
    gst_memory_unmap(memory, &map);
    return done;
}

static GstMemory *copy_of(GstCuframesCudaMemory *memory, guint64 device)
{
    GstMemory *copy = alloc(memory->context, &memory->info, memory->memory.maxsize);

    if (copy && !fill(copy, device))
        g_clear_pointer(&copy, gst_memory_unref);
    return copy;
}

/* All of it: parts of a picture's memory are of no use. */
static GstMemory *allocator_copy(GstMemory *memory, gssize offset, gssize size)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    GstCuframesCudaMemory *cuda = (GstCuframesCudaMemory *)memory;
    GstMemory *copy = NULL;
    GstMapInfo map;

    if (!gst_memory_map(memory, &map, GST_MAP_READ | GST_CUFRAMES_MAP_CUDA))
        return NULL;
    if (library->gst_cuda_context_push(cuda->context)) {
        copy = copy_of(cuda, (guint64)(guintptr)map.data);
        library->gst_cuda_context_pop(NULL);
    }
    gst_memory_unmap(memory, &map);
    return copy;
}

/* ---- what 1.22 leaves to us ---- */

static gboolean read_back(OwnMemory *own)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    gsize size = own->cuda.memory.maxsize;

    if (!own->staging && library->CuMemAllocHost(&own->staging, (guint)size)) {
        own->staging = NULL;
        return FALSE;
    }
    if (!copy_rows((GstCuframesCudaCopy){.from_type = GST_CUFRAMES_CUDA_DEVICE,
                                         .from_device = own->device,
                                         .from_pitch = size,
                                         .to_type = GST_CUFRAMES_CUDA_HOST,
                                         .to_host = own->staging,
                                         .to_pitch = size,
                                         .row = size,
                                         .rows = 1}))
        return FALSE;
    own->stale = FALSE;
    return TRUE;
}

static void write_through(OwnMemory *own)
{
    gsize size = own->cuda.memory.maxsize;

    copy_rows((GstCuframesCudaCopy){.from_type = GST_CUFRAMES_CUDA_HOST,
                                    .from_host = own->staging,
                                    .from_pitch = size,
                                    .to_type = GST_CUFRAMES_CUDA_DEVICE,
                                    .to_device = own->device,
                                    .to_pitch = size,
                                    .row = size,
                                    .rows = 1});
}

/* For the CPU: a copy, which is kept and written back when it is unmapped. */
static gpointer map_for_cpu(OwnMemory *own)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    gboolean read = TRUE;

    if (own->staging && !own->stale)
        return own->staging;
    if (!library->gst_cuda_context_push(own->cuda.context))
        return NULL;
    read = read_back(own);
    library->gst_cuda_context_pop(NULL);
    return read ? own->staging : NULL;
}

static gpointer own_map(GstMemory *memory, gsize size, GstMapFlags flags)
{
    OwnMemory *own = (OwnMemory *)memory;
    gpointer place;

    g_mutex_lock(&own->lock);
    if (flags & GST_CUFRAMES_MAP_CUDA) {
        if (flags & GST_MAP_WRITE)
            own->stale = TRUE;
        place = (gpointer)(guintptr)own->device;
    } else {
        place = map_for_cpu(own);
    }
    g_mutex_unlock(&own->lock);
    return place;
}

static void own_unmap(GstMemory *memory, GstMapInfo *map)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    OwnMemory *own = (OwnMemory *)memory;

    if (!(map->flags & GST_MAP_WRITE) || (map->flags & GST_CUFRAMES_MAP_CUDA))
        return;
    g_mutex_lock(&own->lock);
    if (library->gst_cuda_context_push(own->cuda.context)) {
        write_through(own);
        library->gst_cuda_context_pop(NULL);
    }
    g_mutex_unlock(&own->lock);
}

static void own_free(GstAllocator *allocator, GstMemory *memory)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    OwnMemory *own = (OwnMemory *)memory;
    gboolean entered = library->gst_cuda_context_push(own->cuda.context);

    own->notify(own->user_data);
    if (own->staging)
        library->CuMemFreeHost(own->staging);
    if (entered)
        library->gst_cuda_context_pop(NULL);
    gst_object_unref(own->cuda.context);
    g_mutex_clear(&own->lock);
    g_free(own);
}

/* ---- the allocator ---- */

static void allocator_init(GTypeInstance *instance, gpointer class)
{
    GstAllocator *allocator = GST_ALLOCATOR(instance);

    allocator->mem_copy = allocator_copy;
    if (gst_cuframes_cuda_library()->gst_cuda_allocator_alloc_wrapped)
        return;
    allocator->mem_map = own_map;
    allocator->mem_unmap_full = own_unmap;
}

static void allocator_class_init(gpointer class, gpointer data)
{
    if (!gst_cuframes_cuda_library()->gst_cuda_allocator_alloc_wrapped)
        GST_ALLOCATOR_CLASS(class)->free = own_free;
}

static GType allocator_type(void)
{
    GTypeQuery parent;

    g_type_query(gst_cuframes_cuda_library()->gst_cuda_allocator_get_type(), &parent);
    return g_type_register_static_simple(parent.type, "GstCuframesCudaAllocator", parent.class_size,
                                         allocator_class_init, parent.instance_size, allocator_init,
                                         0);
}

static GstAllocator *our_allocator(void)
{
    static GstAllocator *allocator;

    if (g_once_init_enter(&allocator)) {
        GstAllocator *made;

        gst_cuframes_cuda_library()->gst_cuda_memory_init_once();
        made = g_object_new(allocator_type(), NULL);
        gst_object_ref_sink(made);
        GST_OBJECT_FLAG_SET(made, GST_OBJECT_FLAG_MAY_BE_LEAKED);
        g_once_init_leave(&allocator, made);
    }
    return allocator;
}

static GstMemory *own_memory(GstCudaContext *context, guint64 device, gsize size,
                             gpointer user_data, GDestroyNotify notify)
{
    OwnMemory *own = g_new0(OwnMemory, 1);

    gst_memory_init(GST_MEMORY_CAST(own), 0, our_allocator(), NULL, size, 0, 0, size);
    own->cuda.context = gst_object_ref(context);
    own->device = device;
    g_mutex_init(&own->lock);
    own->user_data = user_data;
    own->notify = notify;
    return GST_MEMORY_CAST(own);
}

/* One row, as it were, so that reading it back takes every byte. */
static GstMemory *wrapped_memory(GstCudaContext *context, guint64 device, gsize size,
                                 gpointer user_data, GDestroyNotify notify)
{
    GstVideoInfo row;

    if (!gst_video_info_set_format(&row, GST_VIDEO_FORMAT_GRAY8, (guint)size, 1))
        return NULL;
    row.stride[0] = (gint)size;
    row.size = size;
    return gst_cuframes_cuda_library()->gst_cuda_allocator_alloc_wrapped(
        our_allocator(), context, NULL, &row, device, user_data, notify);
}

GstMemory *gst_cuframes_cuda_wrap(GstCudaContext *context, const GstVideoInfo *info, guint64 device,
                                  gsize size, GstMemoryFlags flags, gpointer user_data,
                                  GDestroyNotify notify)
{
    GstMemory *memory;

    if (size > G_MAXINT)
        return NULL;
    memory = gst_cuframes_cuda_library()->gst_cuda_allocator_alloc_wrapped
                 ? wrapped_memory(context, device, size, user_data, notify)
                 : own_memory(context, device, size, user_data, notify);
    if (!memory)
        return NULL;
    ((GstCuframesCudaMemory *)memory)->info = *info;
    ((GstCuframesCudaMemory *)memory)->info.size = size;
    GST_MINI_OBJECT_FLAG_SET(memory, flags);
    return memory;
}

GstCuframesCudaMemory *gst_cuframes_cuda_memory_of(GstBuffer *buffer)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;

    return library && memory && library->gst_is_cuda_memory(memory)
               ? (GstCuframesCudaMemory *)memory
               : NULL;
}

/* ---- pictures ---- */

static gboolean copy_planes(GstVideoFrame *to, const GstVideoFrame *from)
{
    for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(from); i++) {
        /* Of the first component in this plane. */
        guint component = 0;

        while (GST_VIDEO_FRAME_COMP_PLANE(from, component) != i)
            component++;
        if (!copy_rows((GstCuframesCudaCopy){
                .from_type = GST_CUFRAMES_CUDA_DEVICE,
                .from_device = (guint64)(guintptr)GST_VIDEO_FRAME_PLANE_DATA(from, i),
                .from_pitch = (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(from, i),
                .to_type = GST_CUFRAMES_CUDA_DEVICE,
                .to_device = (guint64)(guintptr)GST_VIDEO_FRAME_PLANE_DATA(to, i),
                .to_pitch = (gsize)GST_VIDEO_FRAME_PLANE_STRIDE(to, i),
                .row = (gsize)GST_VIDEO_FRAME_COMP_WIDTH(from, component) *
                       (gsize)GST_VIDEO_FRAME_COMP_PSTRIDE(from, component),
                .rows = (gsize)GST_VIDEO_FRAME_COMP_HEIGHT(from, component),
            }))
            return FALSE;
    }
    return TRUE;
}

static gboolean copy_mapped(GstCudaContext *context, GstVideoFrame *to, const GstVideoFrame *from)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    gboolean done;

    if (!library->gst_cuda_context_push(context))
        return FALSE;
    done = copy_planes(to, from);
    library->gst_cuda_context_pop(NULL);
    return done;
}

gboolean gst_cuframes_cuda_copy(GstCudaContext *context, const GstVideoInfo *info, GstBuffer *to,
                                GstBuffer *from)
{
    GstVideoFrame source, target;
    gboolean done;

    if (!gst_video_frame_map(&source, info, from, GST_MAP_READ | GST_CUFRAMES_MAP_CUDA))
        return FALSE;
    if (!gst_video_frame_map(&target, info, to, GST_MAP_WRITE | GST_CUFRAMES_MAP_CUDA)) {
        gst_video_frame_unmap(&source);
        return FALSE;
    }
    done = copy_mapped(context, &target, &source);
    gst_video_frame_unmap(&target);
    gst_video_frame_unmap(&source);
    return done;
}

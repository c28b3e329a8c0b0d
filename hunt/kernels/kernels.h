/* What all kernels share: arguments from Python, unaligned loads, bounds.

   Arguments are arrays without gaps, and numbers. Offsets and sizes come from the evidence: each is checked against the
   end of its array, whatever the caller has checked; one beyond it raises ValueError. All memory is the caller's. */

#ifndef EVTX_HUNT_KERNELS_H
#define EVTX_HUNT_KERNELS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if PY_BIG_ENDIAN
#error "numbers are read as they stand: little-endian machines only"
#endif

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

enum {
    CHUNK = 65536, /* of a log, in bytes: see `records` */
    CHUNK_HEADER = 512,
    TEMPLATE_HEADER = 24, /* see `bxml` */
    AHEAD = 16,           /* records that memory is asked for before they are read */
    MOST_ARRAYS = 11,
    MOST_NUMBERS = 2,
    MOST_SHARED = 64,
    MOST_TRIES = 64, /* places of a table that are looked at for one thing */
};

/* A call from Python, and what is wrong with it, if anything is. */
struct call {
    Py_buffer array[MOST_ARRAYS];
    Py_buffer shared[MOST_SHARED]; /* the arrays of a tuple */
    int64_t shares;
    int64_t number[MOST_NUMBERS];
    const char *fault;
};

#define KERNEL(name) PyObject *kernel_##name(PyObject *self, PyObject *const *given, Py_ssize_t count_given)
/* Ask for what stands at a place, if it is inside: by the time it is read it is in the processor's cache. No function:
   GCC leaves out calls of one that does nothing else. */
#define SOON(data, at, length) \
    do { \
        if (inside(at, 1, length)) \
            PREFETCH((data) + (at)); \
    } while (0)

#define BEGIN(call, kinds) (void)self; if (!call_begin(&(call), given, count_given, kinds)) return NULL

/* Take arguments: 'r' an array that is read, 'w' one that is written, 't' a tuple of those that are read, 'n' a number.
   0 and an error if they are others. */
int call_begin(struct call *call, PyObject *const *given, Py_ssize_t count, const char *kinds);

/* What the call gives back: a number, or ValueError for its fault. */
PyObject *call_end(struct call *call, int64_t result);

/* The numbers of an array; it is the call's fault if they are not `count` of `width` bytes. */
void *call_array(struct call *call, int place, int64_t count, int64_t width);

extern const char CALL_OUTSIDE[], CALL_MEMORY[];

static inline uint16_t u16(const uint8_t *at) { uint16_t n; memcpy(&n, at, 2); return n; }
static inline uint32_t u32(const uint8_t *at) { uint32_t n; memcpy(&n, at, 4); return n; }
static inline uint64_t u64(const uint8_t *at) { uint64_t n; memcpy(&n, at, 8); return n; }

/* Whether `size` bytes from `at` on are inside `length`. */
static inline int inside(int64_t at, int64_t size, int64_t length)
{
    return at >= 0 && size >= 0 && at <= length && size <= length - at;
}

KERNEL(chains);
KERNEL(frames);
KERNEL(instances);
KERNEL(same);
KERNEL(named);
KERNEL(describe);
KERNEL(take);
KERNEL(alike);
KERNEL(group);
KERNEL(numbers);
KERNEL(times);
KERNEL(texts);
KERNEL(guids);
KERNEL(dictionary);
KERNEL(gather);

#endif

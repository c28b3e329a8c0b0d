/* Where records stand in chunks, and the template instances in them: see `framing` and `instances`. */

#include "kernels.h"

enum { RECORD_MAGIC = 0x2a2a, RECORD_MIN = 28, INSTANCE_HEAD = 10, TOGETHER = 8 };

/* A chunk's records, as far as they were followed. */
struct chain {
    const uint8_t *chunk;
    int64_t at, end, count;
    uint64_t number; /* of the last one */
};

/* Whether there is a next record; one that does not fit ends the chain with a count of 0. */
static int follow(struct chain *chain)
{
    const uint8_t *record = chain->chunk + chain->at;
    int64_t left = chain->end - chain->at, size;
    if (left <= 0)
        return 0;
    size = left < RECORD_MIN || u32(record) != RECORD_MAGIC ? 0 : u32(record + 4);
    if (size < RECORD_MIN || size > left) {
        chain->count = 0;
        return 0;
    }
    chain->number = u64(record + 8);
    chain->at += size;
    chain->count++;
    return 1;
}

/* Follow the records of some chunks in turn: while one waits for memory, the others go on. */
static int64_t follow_all(const uint8_t *data, uint8_t *good, int64_t some)
{
    struct chain chains[TOGETHER];
    int64_t one, records = 0;
    int going = 1;
    for (one = 0; one < some; one++) {
        const uint8_t *chunk = data + one * CHUNK;
        int64_t end = u32(chunk + 48);
        struct chain chain = {chunk, CHUNK_HEADER, good[one] && end <= CHUNK ? end : 0, 0, 0};
        chains[one] = chain;
    }
    while (going) {
        going = 0;
        for (one = 0; one < some; one++)
            going |= follow(chains + one);
    }
    for (one = 0; one < some; one++) {
        /* A header that counts more records than it leaves room for is no word to go by. */
        good[one] = chains[one].count && chains[one].number >= u64(chains[one].chunk + 32);
        records += good[one] ? chains[one].count : 0;
    }
    return records;
}

/* chains(data, whole): how many records there are in the chunks that `whole` marks. It is cleared for those whose
   records do not follow each other to where the header says that they end, or are fewer than it counts. */
KERNEL(chains)
{
    struct call call;
    BEGIN(call, "rw");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t chunks = call.array[0].len / CHUNK, index, count = 0;
        uint8_t *whole = call_array(&call, 1, chunks, 1);
        for (index = 0; index < chunks && !call.fault; index += TOGETHER)
            count += follow_all(data + index * CHUNK, whole + index, chunks - index < TOGETHER ? chunks - index : TOGETHER);
        return call_end(&call, count);
    }
}

/* frames(data, whole, offset, size, number): fill in the records that `chains` has counted. */
KERNEL(frames)
{
    struct call call;
    BEGIN(call, "rrwww");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t chunks = call.array[0].len / CHUNK, count = call.array[2].len / 8, index, row = 0;
        const uint8_t *whole = call_array(&call, 1, chunks, 1);
        int64_t *offset = call_array(&call, 2, count, 8), *size = call_array(&call, 3, count, 8);
        uint64_t *number = call_array(&call, 4, count, 8);
        for (index = 0; index < chunks && !call.fault; index++) {
            const uint8_t *bytes = data + index * CHUNK;
            int64_t end = u32(bytes + 48);
            struct chain chain = {bytes, CHUNK_HEADER, whole[index] && end <= CHUNK ? end : 0, 0, 0};
            int64_t at = chain.at;
            while (row < count && follow(&chain)) {
                offset[row] = index * CHUNK + at;
                size[row] = chain.at - at;
                number[row] = chain.number;
                at = chain.at;
                row++;
            }
        }
        if (row != count)
            call.fault = CALL_OUTSIDE;
        return call_end(&call, 0);
    }
}

/* Whether a template instance begins at `at` and ends before `end`; its definition, and where its values begin. */
static int instance(const uint8_t *data, int64_t length, int64_t at, int64_t end, int64_t *definition, int64_t *values)
{
    int64_t base, offset, start;
    if (!inside(at, 1, length) || end < at || end > length)
        return 0;
    if (data[at] == 0x0f)
        at += 4;
    if (end - at < INSTANCE_HEAD + 4 || data[at] != 0x0c)
        return 0;
    base = at & ~(int64_t)(CHUNK - 1);
    offset = u32(data + at + 6);
    if (offset > CHUNK - TEMPLATE_HEADER || !inside(base + offset, TEMPLATE_HEADER, length))
        return 0;
    /* The id is the GUID's first word: where it is not, the definition is another's, as in the slack of a used chunk. */
    if (u32(data + at + 2) != u32(data + base + offset + 4))
        return 0;
    start = at + INSTANCE_HEAD;
    if (base + offset == start) /* the definition itself stands right there */
        start += TEMPLATE_HEADER + (int64_t)u32(data + base + offset + 20);
    if (start > end - 4)
        return 0;
    *definition = base + offset;
    *values = start;
    return 1;
}

/* instances(data, at, end, found, definition, values): see `instances.instances`. */
KERNEL(instances)
{
    struct call call;
    BEGIN(call, "rrrwww");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, count = call.array[1].len / 8, row;
        const int64_t *at = call_array(&call, 1, count, 8), *end = call_array(&call, 2, count, 8);
        uint8_t *found = call_array(&call, 3, count, 1);
        int64_t *definition = call_array(&call, 4, count, 8), *values = call_array(&call, 5, count, 8);
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            if (row + AHEAD < count)
                SOON(data, at[row + AHEAD], length);
            definition[row] = values[row] = 0;
            found[row] = (uint8_t)instance(data, length, at[row], end[row], definition + row, values + row);
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, 0);
    }
}

/* Definitions of templates that are known again: see `templates`. */

#include "kernels.h"

/* same(data, at, like, mask, fits): whether the bytes at each place are `like`'s, but for those that `mask` has 0 for. */
KERNEL(same)
{
    struct call call;
    BEGIN(call, "rrrrw");
    {
        const uint8_t *data = call.array[0].buf, *like = call.array[2].buf;
        int64_t count = call.array[1].len / 8, width = call.array[2].len, row, byte;
        const int64_t *at = call_array(&call, 1, count, 8);
        const uint8_t *mask = call_array(&call, 3, width, 1);
        uint8_t *fits = call_array(&call, 4, count, 1);
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            const uint8_t *body;
            uint64_t other = 0;
            if (!inside(at[row], width, call.array[0].len)) {
                call.fault = CALL_OUTSIDE;
                break;
            }
            body = data + at[row];
            for (byte = 0; byte + 8 <= width && !other; byte += 8)
                other = (u64(body + byte) ^ u64(like + byte)) & u64(mask + byte);
            for (; byte < width && !other; byte++)
                other = (uint64_t)((body[byte] ^ like[byte]) & mask[byte]);
            fits[row] = !other;
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, 0);
    }
}

/* What a definition refers to: see `templates._Names`. */
struct names {
    const int64_t *in_place, *elsewhere, *size;
    int64_t in_places, elsewheres, width;
    const uint8_t *stored;
};

/* Whether the definition at `at` refers to these names. -1: it ends outside the data. */
static int refers(const uint8_t *data, int64_t length, int64_t at, const struct names *names)
{
    int64_t base = at & ~(int64_t)(CHUNK - 1), body = at + TEMPLATE_HEADER, name;
    for (name = 0; name < names->in_places; name++) {
        int64_t field = body + names->in_place[name];
        if (!inside(field, 4, length))
            return -1;
        if (u32(data + field) != field + 4 - base)
            return 0;
    }
    for (name = 0; name < names->elsewheres; name++) {
        int64_t field = body + names->elsewhere[name], size = names->size[name], place;
        if (!inside(field, 4, length))
            return -1;
        place = (int64_t)u32(data + field) + 4;
        if (place + size > CHUNK || !inside(base + place, size, length)) /* outside its chunk it is none */
            return 0;
        if (memcmp(data + base + place, names->stored + name * names->width, (size_t)size) != 0)
            return 0;
    }
    return 1;
}

/* named(data, at, in_place, elsewhere, stored, size, fits): whether the definitions at `at` refer to names in place, and
   to those elsewhere in their chunk that are stored, one a row. */
KERNEL(named)
{
    struct call call;
    BEGIN(call, "rrrrrrw");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, count = call.array[1].len / 8, row, name;
        const int64_t *at = call_array(&call, 1, count, 8);
        uint8_t *fits = call_array(&call, 6, count, 1);
        struct names names;
        names.in_places = call.array[2].len / 8;
        names.elsewheres = call.array[5].len / 8;
        names.width = names.elsewheres ? call.array[4].len / names.elsewheres : 0;
        names.in_place = call_array(&call, 2, names.in_places, 8);
        names.elsewhere = call_array(&call, 3, names.elsewheres, 8);
        names.stored = call_array(&call, 4, names.elsewheres * names.width, 1);
        names.size = call_array(&call, 5, names.elsewheres, 8);
        for (name = 0; name < names.elsewheres && !call.fault; name++)
            if (!inside(0, names.size[name], names.width))
                call.fault = CALL_OUTSIDE;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            int found = inside(at[row], TEMPLATE_HEADER, length) ? refers(data, length, at[row], &names) : -1;
            if (found < 0)
                call.fault = CALL_OUTSIDE;
            fits[row] = found > 0;
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, 0);
    }
}

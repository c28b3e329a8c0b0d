/* Texts as Arrow has them: UTF-8, and views of it. See `texts`, `hunt.encoded`.

   A view is two 64-bit words: length | first four bytes << 32, then buffer | offset << 32, or for up to 12 bytes the bytes
   themselves from the fifth on (Arrow columnar format, "Variable-size Binary View Layout"). */

#include "kernels.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define HAVE_SSE2 1
#endif

enum { IN_PLACE = 12, GUID_TEXT = 38, MET = 128 };

/* Copy UTF-16 code units that are ASCII, as bytes; how many stood before the first that is none.
   Writes no more than `units` bytes. */
static int64_t ascii(const uint8_t *from, int64_t units, uint8_t *to)
{
    int64_t done = 0;
#ifdef HAVE_SSE2
    const __m128i high = _mm_set1_epi16((short)0xff80), zero = _mm_setzero_si128();
    for (; units - done >= 16; done += 16) {
        __m128i front = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * done));
        __m128i back = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * done + 16));
        __m128i strange = _mm_and_si128(_mm_or_si128(front, back), high);
        if (_mm_movemask_epi8(_mm_cmpeq_epi16(strange, zero)) != 0xffff)
            break;
        _mm_storeu_si128((__m128i *)(void *)(to + done), _mm_packus_epi16(front, back));
    }
    for (; units - done >= 8; done += 8) {
        __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * done));
        if (_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_and_si128(some, high), zero)) != 0xffff)
            break;
        _mm_storel_epi64((__m128i *)(void *)(to + done), _mm_packus_epi16(some, some));
    }
#endif
    for (; units - done >= 4; done += 4) {
        uint64_t some = u64(from + 2 * done);
        uint32_t packed;
        if (some & UINT64_C(0xff80ff80ff80ff80))
            break;
        some = (some | some >> 8) & UINT64_C(0x0000ffff0000ffff);
        packed = (uint32_t)(some | some >> 16);
        memcpy(to + done, &packed, 4);
    }
    for (; done < units; done++) {
        uint16_t unit = u16(from + 2 * done);
        if (unit > 0x7f)
            break;
        to[done] = (uint8_t)unit;
    }
    return done;
}

/* A code point over 0x7f as UTF-8; the end of what is written. */
static uint8_t *encoded(uint32_t point, uint8_t *to)
{
    if (point < 0x800) {
        *to++ = (uint8_t)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *to++ = (uint8_t)(0xe0 | point >> 12);
        } else {
            *to++ = (uint8_t)(0xf0 | point >> 18);
            *to++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        }
        *to++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    }
    *to++ = (uint8_t)(0x80 | (point & 0x3f));
    return to;
}

/* UTF-16 as UTF-8; unpaired surrogates become U+FFFD. The end of what is written: 3 bytes a unit at most. */
static uint8_t *utf8(const uint8_t *from, int64_t units, uint8_t *to)
{
    for (;;) {
        int64_t done = ascii(from, units, to);
        uint32_t point;
        from += 2 * done;
        to += done;
        units -= done;
        if (!units)
            return to;
        point = u16(from);
        if (point >= 0xd800 && point < 0xe000) {
            uint32_t low = point < 0xdc00 && units > 1 ? u16(from + 2) : 0;
            if (low >= 0xdc00 && low < 0xe000) {
                point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
                from += 2;
                units--;
            } else {
                point = 0xfffd;
            }
        }
        to = encoded(point, to);
        from += 2;
        units--;
    }
}

/* The view of what stands from `begin` to `end` in the buffer; returns where the next may begin: short texts stand in
   their views. */
static int64_t view(const uint8_t *buffer, int64_t begin, int64_t end, uint64_t number, uint64_t *words)
{
    uint32_t size = (uint32_t)(end - begin);
    if (size <= IN_PLACE) {
        uint8_t *bytes = (uint8_t *)words;
        memset(bytes, 0, 16);
        memcpy(bytes, &size, 4);
        memcpy(bytes + 4, buffer + begin, size);
        return begin;
    }
    words[0] = (uint64_t)size | (uint64_t)u32(buffer + begin) << 32;
    words[1] = number | (uint64_t)begin << 32;
    return end;
}

/* Whether a buffer of texts can be told of in views, from `begin` on. */
static int viewable(const struct call *call, int place)
{
    const Py_buffer *buffer = call->array + place;
    return inside(call->number[0], 0, buffer->len) && buffer->len <= INT32_MAX && inside(call->number[1], 0, INT32_MAX);
}

static uint64_t mixed(uint64_t number)
{
    number *= UINT64_C(0x9e3779b97f4a7c15);
    return number ^ number >> 29;
}

/* Texts of a column that were met before: one in each slot, by its size and some of its characters. */
struct met {
    const uint8_t *text;
    int64_t size;
    uint64_t view[2];
};

static struct met *place_of(struct met *slots, int64_t count, const uint8_t *text, int64_t size)
{
    uint64_t found = (uint64_t)size;
    if (size >= 8)
        found = mixed(mixed(found ^ u64(text)) ^ u64(text + (size - 8) / 2) ^ u64(text + size - 8) << 1);
    else if (size)
        found ^= (uint64_t)u16(text) << 16 ^ (uint64_t)u16(text + size - 2) << 40;
    return slots + (mixed(found) >> 32) % (uint64_t)count;
}

/* texts(data, at, size, chosen, views, buffer, begin, number): UTF-16, without the NULs at its end, as UTF-8 into the
   buffer of that number from `begin` on, and views of it; where it ends. `at` and `size` are matrices of (value,
   record), of 32 and of 16 bits, `chosen` says which values, `views` is (chosen value, record, 2). What was met
   before, not long ago, has the same view. */
KERNEL(texts)
{
    struct call call;
    BEGIN(call, "rrrrwwnn");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, columns = call.array[3].len / 8, row, column, free = call.number[0];
        int64_t count = columns ? call.array[4].len / 16 / columns : 0, values = count ? call.array[1].len / 4 / count : 0;
        const int32_t *at = call_array(&call, 1, values * count, 4);
        const uint16_t *size = call_array(&call, 2, values * count, 2);
        const int64_t *chosen = call_array(&call, 3, columns, 8);
        uint64_t *words = call_array(&call, 4, columns * count * 2, 8);
        uint8_t *made = call.array[5].buf;
        struct met *met = PyMem_Calloc((size_t)(columns * MET + 1), sizeof *met);
        if (!viewable(&call, 5))
            call.fault = CALL_OUTSIDE;
        if (!met)
            call.fault = CALL_MEMORY;
        for (column = 0; count && column < columns && !call.fault; column++)
            if (!inside(chosen[column], 1, values))
                call.fault = CALL_OUTSIDE;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            for (column = 0; column < columns; column++) {
                int64_t place = chosen[column] * count + row, units = size[place] / 2;
                uint64_t *to = words + 2 * (column * count + row);
                const uint8_t *text;
                struct met *like;
                if (!inside(at[place], size[place], length) || 3 * units > call.array[5].len - free) {
                    call.fault = CALL_OUTSIDE;
                    break;
                }
                if (row + AHEAD < count)
                    SOON(data, at[place + AHEAD], length);
                text = data + at[place];
                while (units && !u16(text + 2 * units - 2))
                    units--;
                like = place_of(met + column * MET, MET, text, 2 * units);
                if (!like->text || like->size != units || memcmp(like->text, text, (size_t)(2 * units)) != 0) {
                    like->text = text;
                    like->size = units;
                    free = view(made, free, utf8(text, units, made + free) - made, (uint64_t)call.number[1], like->view);
                }
                memcpy(to, like->view, 16);
            }
        }
        Py_END_ALLOW_THREADS
        PyMem_Free(met);
        return call_end(&call, free);
    }
}

/* What each byte is in hexadecimal digits. */
static const char PAIRS[] =
    "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
    "202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F"
    "404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F"
    "606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F"
    "808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9F"
    "A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF"
    "C0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"
    "E0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF";

/* A GUID as Sysmon prints it: three little-endian numbers, then bytes in their order. */
static void print_guid(const uint8_t *raw, uint8_t *to)
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    static const uint8_t place[16] = {1, 3, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 29, 31, 33, 35};
    int byte;
    memcpy(to, "{00000000-0000-0000-0000-000000000000}", GUID_TEXT);
    for (byte = 0; byte < 16; byte++)
        memcpy(to + place[byte], PAIRS + 2 * raw[order[byte]], 2);
}

/* guids(data, at, chosen, views, some, buffer, begin, number): the same for GUIDs; `some`, (chosen value, record), tells
   which are not the null GUID. */
KERNEL(guids)
{
    struct call call;
    BEGIN(call, "rrrwwwnn");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, columns = call.array[2].len / 8, row, column, free = call.number[0];
        int64_t count = columns ? call.array[4].len / columns : 0, values = count ? call.array[1].len / 4 / count : 0;
        const int32_t *at = call_array(&call, 1, values * count, 4);
        const int64_t *chosen = call_array(&call, 2, columns, 8);
        uint64_t *words = call_array(&call, 3, columns * count * 2, 8);
        uint8_t *some = call_array(&call, 4, columns * count, 1), *made = call.array[5].buf;
        struct met *met = PyMem_Calloc((size_t)(columns * MET + 1), sizeof *met);
        if (!viewable(&call, 5))
            call.fault = CALL_OUTSIDE;
        if (!met)
            call.fault = CALL_MEMORY;
        for (column = 0; count && column < columns && !call.fault; column++)
            if (!inside(chosen[column], 1, values))
                call.fault = CALL_OUTSIDE;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            for (column = 0; column < columns; column++) {
                int64_t place = chosen[column] * count + row, to = column * count + row;
                const uint8_t *raw;
                struct met *like;
                if (!inside(at[place], 16, length) || GUID_TEXT > call.array[5].len - free) {
                    call.fault = CALL_OUTSIDE;
                    break;
                }
                if (row + AHEAD < count)
                    SOON(data, at[place + AHEAD], length);
                raw = data + at[place];
                some[to] = (u64(raw) | u64(raw + 8)) != 0;
                like = place_of(met + column * MET, MET, raw, 16);
                if (!like->text || u64(like->text) != u64(raw) || u64(like->text + 8) != u64(raw + 8)) {
                    like->text = raw;
                    print_guid(raw, made + free);
                    free = view(made, free, free + GUID_TEXT, (uint64_t)call.number[1], like->view);
                }
                memcpy(words + 2 * to, like->view, 16);
            }
        }
        Py_END_ALLOW_THREADS
        PyMem_Free(met);
        return call_end(&call, free);
    }
}

/* The bytes of a view's text; NULL if they are not inside the buffers. */
static const uint8_t *text_of(const struct call *call, const uint64_t *words, uint32_t *size)
{
    uint32_t buffer = (uint32_t)words[1];
    *size = (uint32_t)words[0];
    if (*size <= IN_PLACE)
        return (const uint8_t *)words + 4;
    if (buffer >= call->shares || !inside((int64_t)(words[1] >> 32), *size, call->shared[buffer].len))
        return NULL;
    return (const uint8_t *)call->shared[buffer].buf + (words[1] >> 32);
}

/* dictionary(views, valid, indices, first): how many distinct views there are, as they are met; which of them each is,
   and the first row of each. `valid`: a bit each, or empty: all are; of null ones the index is 0. -1: there are more than
   `first` has room for, or they were chosen to collide. */
KERNEL(dictionary)
{
    struct call call;
    BEGIN(call, "rrww");
    {
        int64_t count = call.array[2].len / 4, most = call.array[3].len / 8, slots = 64, row, known = 0;
        const uint64_t *words = call_array(&call, 0, 2 * count, 8);
        const uint8_t *valid = call.array[1].len ? call.array[1].buf : NULL;
        int32_t *index = call_array(&call, 2, count, 4), *table;
        int64_t *first = call_array(&call, 3, most, 8);
        int shift = 58; /* the highest bits of 64, as many as there are slots */
        if (valid && call.array[1].len < (count + 7) / 8)
            call.fault = CALL_OUTSIDE;
        while (slots < 2 * most && shift > 34) {
            slots *= 2;
            shift--;
        }
        table = PyMem_Calloc((size_t)slots, sizeof *table); /* the place of a view and one; 0: none */
        if (!table)
            call.fault = CALL_MEMORY;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault && known >= 0; row++) {
            const uint64_t *view = words + 2 * row;
            uint64_t slot = mixed(mixed(view[0]) ^ view[1]) >> shift;
            int tried;
            if (valid && !(valid[row / 8] >> row % 8 & 1)) {
                index[row] = 0;
                continue;
            }
            for (tried = 0; tried < MOST_TRIES && table[slot]; tried++) {
                const uint64_t *other = words + 2 * first[table[slot] - 1];
                if (view[0] == other[0] && view[1] == other[1])
                    break;
                slot = (slot + 1) & (uint64_t)(slots - 1);
            }
            if (tried == MOST_TRIES || (!table[slot] && known == most)) {
                known = -1;
                break;
            }
            if (!table[slot]) {
                first[known] = row;
                table[slot] = (int32_t)++known;
            }
            index[row] = table[slot] - 1;
        }
        Py_END_ALLOW_THREADS
        PyMem_Free(table);
        return call_end(&call, known);
    }
}

/* gather(views, rows, buffers, offsets, bytes): the texts of some rows one after the other; offsets[0] is 0. */
KERNEL(gather)
{
    struct call call;
    BEGIN(call, "rrtww");
    {
        int64_t count = call.array[0].len / 16, taken = call.array[1].len / 8, row, free = 0;
        const uint64_t *words = call_array(&call, 0, 2 * count, 8);
        const int64_t *rows = call_array(&call, 1, taken, 8);
        int64_t *offset = call_array(&call, 2, taken + 1, 8);
        uint8_t *bytes = call.array[3].buf;
        if (!call.fault)
            offset[0] = 0;
        for (row = 0; row < taken && !call.fault; row++) {
            uint32_t size = 0;
            const uint8_t *text = inside(rows[row], 1, count) ? text_of(&call, words + 2 * rows[row], &size) : NULL;
            if (!text || size > call.array[3].len - free) {
                call.fault = CALL_OUTSIDE;
                break;
            }
            memcpy(bytes + free, text, size);
            free += size;
            offset[row + 1] = free;
        }
        return call_end(&call, free);
    }
}

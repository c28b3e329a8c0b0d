/* The values of many records: where they stand, which are alike, numbers and times. See `instances`, `columns`, `times`. */

#include "kernels.h"

enum { SIZE_ANY = -1, SIZE_EVEN = -2 }; /* in the table of sizes by type: see `columns` */
enum { NULL_TYPE = 0x00, STRING = 0x01, ANSI_STRING = 0x02 };
enum { WRITTEN = 23, DATE = 10 }; /* characters of a written time, and of its date */
enum { TOGETHER = 64 };

static int is_null(uint8_t kind, int64_t size)
{
    return kind == NULL_TYPE || (!size && kind != STRING && kind != ANSI_STRING);
}

/* Whether a size is not one of its type's, by the table of sizes. */
static int misfits(uint8_t kind, int64_t size, const int64_t *sizes)
{
    int64_t right = sizes[kind];
    return right != size && right != SIZE_ANY && (right != SIZE_EVEN || size & 1) && !is_null(kind, size);
}

/* Some records' values, until they are written: row by row they stand far apart, which is slow one by one. */
struct block {
    uint32_t *after; /* from a record's first descriptor on */
    uint16_t *size;
    uint8_t *kind;
};

static int make_block(struct block *block, int64_t values)
{
    size_t cells = (size_t)(values + 1) * TOGETHER;
    block->after = PyMem_Malloc(cells * sizeof *block->after);
    block->size = PyMem_Malloc(cells * sizeof *block->size);
    block->kind = PyMem_Malloc(cells);
    return block->after && block->size && block->kind;
}

static void free_block(struct block *block)
{
    PyMem_Free(block->after);
    PyMem_Free(block->size);
    PyMem_Free(block->kind);
}

/* What is asked for of the values of records, and where it goes: see `describe`. */
struct asked {
    const int64_t *first, *sizes;
    const uint8_t *looked_at;
    int64_t chosen, values;
};

/* One record's descriptors, u16 size, u8 type, u8 0 each; sets `misfit`, returns how many bytes it takes up to its end. */
static int64_t describe_one(const uint8_t *told, const struct asked *asked, struct block *block, int64_t one, uint8_t *misfit)
{
    int64_t after = 4 * asked->values, value, chosen = 0;
    int wrong = 0;
    for (value = 0; value < asked->values; value++, told += 4) {
        uint16_t bytes = u16(told);
        wrong |= asked->looked_at[value] && misfits(told[2], bytes, asked->sizes);
        if (chosen < asked->chosen && asked->first[chosen] == value) {
            int64_t cell = chosen++ * TOGETHER + one;
            block->after[cell] = (uint32_t)after;
            block->size[cell] = bytes;
            block->kind[cell] = told[2];
        }
        after += bytes;
    }
    *misfit |= (uint8_t)wrong;
    return after;
}

/* describe(data, begin, end, first, sizes, looked_at, at, size, kind, fit, misfit): fill the rows `first` of matrices of
   (value, record) from the descriptors at `begin`. `fit`: whether a record's values end before `end`; `misfit` is set for
   records with a value that is looked at whose size is not one of its type's in the table `sizes`. */
KERNEL(describe)
{
    struct call call;
    BEGIN(call, "rrrrrrwwwww");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, count = call.array[1].len / 8, values = call.array[5].len;
        int64_t chosen = call.array[3].len / 8, row, value, one;
        const int64_t *begin = call_array(&call, 1, count, 8), *end = call_array(&call, 2, count, 8);
        const int64_t *first = call_array(&call, 3, chosen, 8), *sizes = call_array(&call, 4, 256, 8);
        int32_t *at = call_array(&call, 6, count * values, 4);
        uint16_t *size = call_array(&call, 7, count * values, 2);
        uint8_t *kind = call_array(&call, 8, count * values, 1);
        uint8_t *fit = call_array(&call, 9, count, 1), *misfit = call_array(&call, 10, count, 1);
        struct asked asked = {first, sizes, call.array[5].buf, chosen, values};
        struct block block;
        for (one = 0; one < chosen && !call.fault; one++)
            if (!inside(first[one], 1, values) || (one && first[one] <= first[one - 1]))
                call.fault = CALL_OUTSIDE;
        if (length > INT32_MAX)
            call.fault = CALL_OUTSIDE;
        if (!make_block(&block, values))
            call.fault = CALL_MEMORY;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row += TOGETHER) {
            int64_t some = count - row < TOGETHER ? count - row : TOGETHER;
            for (one = 0; one < some && !call.fault; one++) {
                if (row + one + AHEAD < count) {
                    SOON(data, begin[row + one + AHEAD], length);
                    SOON(data, begin[row + one + AHEAD] + 64, length);
                }
                if (inside(begin[row + one], 4 * values, length))
                    fit[row + one] = begin[row + one] + describe_one(data + begin[row + one], &asked, &block, one,
                                                                     misfit + row + one) <= end[row + one];
                else
                    call.fault = CALL_OUTSIDE;
            }
            for (value = 0; value < chosen && !call.fault; value++) {
                int64_t to = first[value] * count + row, from = value * TOGETHER;
                for (one = 0; one < some; one++)
                    at[to + one] = (int32_t)(begin[row + one] + block.after[from + one]);
                memcpy(size + to, block.size + from, (size_t)some * sizeof *size);
                memcpy(kind + to, block.kind + from, (size_t)some);
            }
        }
        Py_END_ALLOW_THREADS
        free_block(&block);
        return call_end(&call, 0);
    }
}

/* take(count, at, size, kind, filled, rows, at, size, kind): some records of matrices of (value, record), of `count`
   records; the values `filled` alone. */
KERNEL(take)
{
    struct call call;
    BEGIN(call, "nrrrrrwww");
    {
        int64_t count = call.number[0], taken = call.array[4].len / 8, row, value, one;
        int64_t values = count > 0 ? call.array[2].len / count : 0, chosen = call.array[3].len / 8;
        const int32_t *at = call_array(&call, 0, count * values, 4);
        const uint16_t *size = call_array(&call, 1, count * values, 2);
        const uint8_t *kind = call_array(&call, 2, count * values, 1);
        const int64_t *filled = call_array(&call, 3, chosen, 8), *rows = call_array(&call, 4, taken, 8);
        int32_t *to_at = call_array(&call, 5, taken * values, 4);
        uint16_t *to_size = call_array(&call, 6, taken * values, 2);
        uint8_t *to_kind = call_array(&call, 7, taken * values, 1);
        for (row = 0; row < taken && !call.fault; row++)
            if (!inside(rows[row], 1, count))
                call.fault = CALL_OUTSIDE;
        for (one = 0; one < chosen && !call.fault; one++)
            if (!inside(filled[one], 1, values))
                call.fault = CALL_OUTSIDE;
        Py_BEGIN_ALLOW_THREADS
        for (one = 0; one < chosen && !call.fault; one++) {
            value = filled[one];
            for (row = 0; row < taken; row++) {
                to_at[value * taken + row] = at[value * count + rows[row]];
                to_size[value * taken + row] = size[value * count + rows[row]];
                to_kind[value * taken + row] = kind[value * count + rows[row]];
            }
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, 0);
    }
}

/* alike(data, at, size, kind, which, first): how many distinct values there are, by type and bytes, numbered as they
   are met; `first`: the first row of each. No more than it has room for: of others `which` is -1. */
KERNEL(alike)
{
    struct call call;
    BEGIN(call, "rrrrww");
    {
        const uint8_t *data = call.array[0].buf, *kind = call.array[3].buf;
        int64_t length = call.array[0].len, count = call.array[3].len, most = call.array[5].len / 8, row, known = 0, last = 0;
        const int32_t *at = call_array(&call, 1, count, 4);
        const uint16_t *size = call_array(&call, 2, count, 2);
        int64_t *which = call_array(&call, 4, count, 8), *first = call_array(&call, 5, most, 8);
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            int64_t tried, number = last;
            if (row + AHEAD < count)
                SOON(data, at[row + AHEAD], length);
            if (!inside(at[row], size[row], length)) {
                call.fault = CALL_OUTSIDE;
                break;
            }
            for (tried = 0; tried < known; tried++) { /* from the one that was met last on: it is the likeliest */
                int64_t like = first[number];
                if (kind[like] == kind[row] && size[like] == size[row] &&
                    !memcmp(data + at[like], data + at[row], (size_t)size[row]))
                    break;
                number = number + 1 == known ? 0 : number + 1;
            }
            if (tried == known) {
                if (known == most) {
                    which[row] = -1;
                    continue;
                }
                number = known++;
                first[number] = row;
            }
            which[row] = last = number;
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, known);
    }
}

/* group(numbers, which, values): how many distinct numbers there are, in `values` as they are met, and which of them
   each is. -1: another way is needed, for numbers that were chosen to collide. */
KERNEL(group)
{
    struct call call;
    BEGIN(call, "rww");
    {
        int64_t count = call.array[0].len / 8, row, known = 0, slots = 64;
        const uint64_t *number = call_array(&call, 0, count, 8);
        int64_t *which = call_array(&call, 1, count, 8), *table;
        uint64_t *values = call_array(&call, 2, count, 8);
        int shift = 58; /* the highest bits of 64, as many as there are slots */
        while (slots < 2 * count && shift > 24) {
            slots *= 2;
            shift--;
        }
        table = PyMem_Calloc((size_t)slots, sizeof *table); /* the place of a value and one; 0: none */
        if (!table)
            call.fault = CALL_MEMORY;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row++) {
            int64_t slot, tried = 0;
            if (row && number[row] == number[row - 1]) {
                which[row] = which[row - 1];
                continue;
            }
            slot = (int64_t)((number[row] * UINT64_C(0x9e3779b97f4a7c15)) >> shift);
            while (table[slot] && values[table[slot] - 1] != number[row] && tried < MOST_TRIES) {
                slot = (slot + 1) & (slots - 1);
                tried++;
            }
            if (tried == MOST_TRIES) {
                known = -1;
                break;
            }
            if (!table[slot]) {
                values[known] = number[row];
                table[slot] = ++known;
            }
            which[row] = table[slot] - 1;
        }
        Py_END_ALLOW_THREADS
        PyMem_Free(table);
        return call_end(&call, known);
    }
}

/* Some numbers of one width, of which there are `more` places; whether all of them are inside the data. */
static int read_numbers(const uint8_t *data, int64_t length, const int32_t *at, int64_t some, int64_t more,
                        int64_t width, uint64_t *to)
{
    int64_t one;
    int right = width == 8 || width == 4 || width == 2 || width == 1;
    for (one = 0; one < some; one++) {
        if (one + AHEAD < more)
            SOON(data, at[one + AHEAD], length);
        right &= inside(at[one], width, length);
    }
    for (one = 0; right && one < some; one++)
        to[one] = width == 8   ? u64(data + at[one])
                  : width == 4 ? u32(data + at[one])
                  : width == 2 ? u16(data + at[one])
                               : data[at[one]];
    return right;
}

/* numbers(data, at, chosen, widths, numbers): unsigned numbers of 1, 2, 4 or 8 bytes. `at` is a matrix of (value,
   record), `chosen` says which values, `numbers` is (chosen value, record). */
KERNEL(numbers)
{
    struct call call;
    BEGIN(call, "rrrrw");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t length = call.array[0].len, columns = call.array[2].len / 8, row, column;
        int64_t count = columns ? call.array[4].len / 8 / columns : 0, values = count ? call.array[1].len / 4 / count : 0;
        const int32_t *at = call_array(&call, 1, values * count, 4);
        const int64_t *chosen = call_array(&call, 2, columns, 8);
        const int64_t *width = call_array(&call, 3, columns, 8);
        uint64_t *found = call_array(&call, 4, columns * count, 8);
        for (column = 0; count && column < columns && !call.fault; column++)
            if (!inside(chosen[column], 1, values))
                call.fault = CALL_OUTSIDE;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && !call.fault; row += TOGETHER) {
            /* Some records together: what stands in them is in the processor's cache for all columns. */
            int64_t some = count - row < TOGETHER ? count - row : TOGETHER;
            for (column = 0; column < columns && !call.fault; column++)
                if (!read_numbers(data, length, at + chosen[column] * count + row, some, count - row, width[column],
                                  found + column * count + row))
                    call.fault = CALL_OUTSIDE;
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, 0);
    }
}

/* Days since 1970 in the Gregorian calendar, with years that begin in March: see `times`. */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
    int64_t era, of_era, of_year;
    year -= month <= 2;
    era = year / 400;
    of_era = year - era * 400;
    of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The number that some digits of UTF-16 tell; -1: they are none. */
static int64_t digits(const uint8_t *text, int count)
{
    int64_t number = 0;
    int place, right = 1;
    for (place = 0; place < count; place++) {
        unsigned digit = (unsigned)u16(text + 2 * place) - '0';
        right &= digit < 10;
        number = number * 10 + digit;
    }
    return right ? number : -1;
}

static int is(const uint8_t *text, int place, char sign) { return u16(text + 2 * place) == (uint16_t)sign; }

/* Days since 1970 of a date, 2026-03-02; -1 if it is none, or not in the years that ns can tell. */
static int day_of(const uint8_t *text, int64_t *day)
{
    static const int longest[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = digits(text, 4), month = digits(text + 10, 2), of_month = digits(text + 16, 2);
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (!is(text, 4, '-') || !is(text, 7, '-') || year < 1678 || year > 2261 || month < 1 || month > 12)
        return 0;
    if (of_month < 1 || of_month > longest[month - 1] + (leap && month == 2))
        return 0;
    *day = days(year, month, of_month);
    return 1;
}

/* ns of a time of day, 08:15:00.123; -1 if it is none. */
static int64_t time_of(const uint8_t *text)
{
    int64_t hour = digits(text, 2), minute = digits(text + 6, 2), second = digits(text + 12, 2);
    int64_t milli = digits(text + 18, 3);
    if (!is(text, 2, ':') || !is(text, 5, ':') || !is(text, 8, '.'))
        return -1;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || milli < 0)
        return -1;
    return (((hour * 60 + minute) * 60 + second) * 1000 + milli) * 1000000;
}

/* times(data, at, size, since): whether all are times as Sysmon writes them, with a NUL behind or not; ns since 1970. */
KERNEL(times)
{
    struct call call;
    BEGIN(call, "rrrw");
    {
        const uint8_t *data = call.array[0].buf;
        int64_t count = call.array[1].len / 4, row;
        const int32_t *at = call_array(&call, 1, count, 4);
        const uint16_t *size = call_array(&call, 2, count, 2);
        int64_t *since = call_array(&call, 3, count, 8);
        const uint8_t *last = NULL; /* the date that was read last: most are the same */
        int64_t day = 0;
        int all = 1;
        Py_BEGIN_ALLOW_THREADS
        for (row = 0; row < count && all && !call.fault; row++) {
            const uint8_t *text;
            if (row + AHEAD < count)
                SOON(data, at[row + AHEAD], call.array[0].len);
            if (!inside(at[row], size[row], call.array[0].len)) {
                call.fault = CALL_OUTSIDE;
                break;
            }
            text = data + at[row];
            all = size[row] == 2 * WRITTEN || (size[row] == 2 * WRITTEN + 2 && !u16(text + 2 * WRITTEN));
            if (all && (!last || memcmp(last, text, 2 * DATE) != 0)) {
                all = day_of(text, &day);
                last = text;
            }
            if (all) {
                int64_t of_day = is(text, DATE, ' ') ? time_of(text + 2 * DATE + 2) : -1;
                since[row] = day * 86400 * INT64_C(1000000000) + of_day;
                all = of_day >= 0;
            }
        }
        Py_END_ALLOW_THREADS
        return call_end(&call, all);
    }
}
